"""The TVN space relaxed: supernets of mixed operators, and the plans that share their weights."""
