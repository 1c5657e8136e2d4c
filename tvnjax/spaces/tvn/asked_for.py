"""Options of the space that people ask for, in the short help; nothing is imported, so that it comes at once."""

ASKED_FOR_OF_SPACE: tuple[tuple[str, str], ...] = (
    ("shapes.image_size", "pixels of a frame's side; several values are searched"),
    ("shapes.num_frames", "frames of a clip; several values are searched"),
    ("shapes.num_blocks", "blocks of a network, at most those listed; several values are searched"),
    ("shapes.blocks.0.filters", "most filters of block 0, and so on for each block"),
    ("operators.spatial_kernel", "kernels over space; several values are searched"),
    ("operators.act", "activations; several values are searched"),
)
"""Path and what it does."""
