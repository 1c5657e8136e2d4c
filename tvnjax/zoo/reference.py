"""The network that all latencies are compared with."""

from tvnjax.spaces.tvn.genotype import Block, Genotype

REFERENCE = Genotype(
    image_size=32,
    num_frames=8,
    blocks=tuple(
        Block(
            spatial_type="std", spatial_kernel=3, spatial_stride=2, temporal_type="1d", temporal_kernel=3, filters=width
        )
        for width in (16, 32, 48)
    ),
)
"""The reference network of every table: a plain network of middling size."""
