"""Networks of primitive layers with every shape known: what every genotype and every zoo network is lowered to."""
