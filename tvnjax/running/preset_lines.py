"""What each preset is for, apart from the presets themselves: a command's help imports no JAX."""

PRESET_LINES = {
    "quick": "Search on procedurally made clips that need no download: minutes on two CPU cores.",
    "clips": "Search on your own video: --data.manifest FILE.csv or --data.folder DIR.",
    "planted": "Search on a procedural set whose best answer is known: --data.task motion_direction, fine_texture, ...",
    "tvn-gpu": "Search at the paper's scale on your own video: 160 to 224 px, 5 to 8 blocks; for a GPU of 80 GB.",
    "tvn-tpu": "The same for a TPU: widths in steps of its 128 lanes, and smaller parts of batches.",
}
"""One line by the name of the preset (``running.config.PRESETS``)."""
