"""What the parts of a search's batch are called, for those who make it, cut it in parts and read it."""

INDEX, TOP, LEFT, MIRRORED, LABEL, FIRST, STRIDE = range(7)
"""Columns of a batch's rows: the clip among the stored ones (not read where a batch has clips of its own), the corner
of its crop in pixels, 1 where it is mirrored, its class, the first frame to read, and the distance between frames."""

STORED = "stored"
"""What a batch calls the clips of whole splits, which all batches share; its own are ``clips``. All else in it has a
row for each clip."""
