"""Search by gradient: the relaxed supernet's schedule, taking networks out of it, and what it knows of itself."""
