"""What ``import tvnjax`` offers: runs, networks and data from Python, for notebooks and programs alike."""
