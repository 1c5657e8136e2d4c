"""A run from its configuration to its results: data, profile, searches, retraining, and going on."""
