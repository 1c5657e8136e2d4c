"""A small member of every family: few units of each kind, tiny frames."""

from tvnjax.spaces.tvn.lowering import lower
from tvnjax.zoo import tvn
from tvnjax.zoo.mobilenetv3 import SMALL, mobilenetv3
from tvnjax.zoo.movinet import movinet
from tvnjax.zoo.movinet_specs import SPECS
from tvnjax.zoo.r2plus1d import r2plus1d
from tvnjax.zoo.x3d import x3d

SIZES = {"num_frames": 3, "image_size": 16, "num_classes": 5}
_A0 = SPECS["a0"]

NETWORKS = {
    "r2plus1d": r2plus1d(**SIZES, blocks=(1, 1), bottleneck=False),
    "r2plus1d bottleneck": r2plus1d(**SIZES, blocks=(1,), bottleneck=True),
    "mobilenetv3": mobilenetv3(**SIZES, table=(SMALL[0], SMALL[1], SMALL[2], SMALL[3]), hidden=16),
    "x3d": x3d(**SIZES, depth_factor=0.4, bottleneck_width=1.0),
    "movinet": movinet(_A0._replace(blocks=(_A0.blocks[0], (16, _A0.blocks[1][1][:2]))), **SIZES),
    "tvn": lower(tvn.TVN_MOBILE_1.replace_block(1, repeats=1).replace_block(0, repeats=1), 5),
}
