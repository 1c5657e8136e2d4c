"""The space of the Tiny Video Networks paper: blocks of a spatial, then a temporal layer, with gates and shortcuts."""
