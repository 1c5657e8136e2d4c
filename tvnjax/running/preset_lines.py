"""What each preset is for, apart from the presets themselves: a command's help imports no JAX."""

PRESET_LINES = {
    "quick": "Search on procedurally made clips that need no download: minutes on two CPU cores.",
    "clips": "Search on your own video: --data.manifest FILE.csv or --data.folder DIR.",
    "planted": "Search on a procedural set whose best answer is known: --data.task motion_direction, fine_texture, ...",
}
"""One line by the name of the preset (``running.config.PRESETS``)."""
