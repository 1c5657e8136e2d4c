"""``python -m tvnjax`` is ``tvnjax``."""

import sys

from tvnjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
