"""Expected costs of spaces too large to tabulate, by the structure of what layers cost."""
