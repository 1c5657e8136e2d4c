"""Spaces of positions in a row, each with a list of layers to choose from."""
