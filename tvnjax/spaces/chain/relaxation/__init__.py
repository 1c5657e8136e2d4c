"""A chain relaxed: every option of a position runs, and their outputs are weighed."""
