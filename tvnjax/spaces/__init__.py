"""Search spaces: what a genotype may be, and the network each of them is."""
