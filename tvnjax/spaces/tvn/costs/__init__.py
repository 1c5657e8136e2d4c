"""Costs of the TVN space in expectation over its relaxed choices, and networks of a cost."""
