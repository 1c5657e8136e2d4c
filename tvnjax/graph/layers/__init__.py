"""The primitive layers, one file each."""
