"""tvnjax searches Tiny Video Networks by gradient under a measured latency budget."""

__version__ = "0.1.0"
