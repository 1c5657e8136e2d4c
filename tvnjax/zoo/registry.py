"""Every network by its name."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.graph import HeadKind, Network
from tvnjax.spaces.base import Genotype, Reads
from tvnjax.zoo import tvn
from tvnjax.zoo.mobilenetv3 import HIDDEN_LARGE, HIDDEN_SMALL, LARGE, SMALL, Bottleneck, mobilenetv3
from tvnjax.zoo.movinet import movinet
from tvnjax.zoo.movinet_specs import SPECS
from tvnjax.zoo.r2plus1d import BLOCKS, r2plus1d
from tvnjax.zoo.x3d import x3d

NOT_PUBLISHED = "TVN-5 and TVN-6 of the paper were never published"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One network: where it is defined, its own input and number of classes, and how it is lowered."""

    name: str
    source: str
    num_frames: int
    image_size: int
    frame_stride: int
    num_classes: int
    genotype: Genotype | None = None
    """Of a network of a search space, as Tiny Video Networks are."""
    build: Callable[..., Network] | None = None
    """Of the others: takes ``num_frames``, ``image_size``, ``frame_stride`` and ``num_classes``."""

    def network(
        self,
        num_classes: int | None = None,
        *,
        num_frames: int | None = None,
        image_size: int | None = None,
        head: HeadKind | None = None,
    ) -> Network:
        """Lowers the network, at its own input and for its own classes unless told otherwise.

        Args:
            num_classes: of the head.
            num_frames: of the clip.
            image_size: height and width of a frame in pixels.
            head: how a network of a space pools its scores; the others have heads of their own.

        Raises:
            InvalidInputError: a size is less than 1, or a head is given to a network that has its own.
        """
        sizes = {
            "num_frames": num_frames or self.num_frames,
            "image_size": image_size or self.image_size,
            "num_classes": num_classes or self.num_classes,
        }
        for name, size in sizes.items():
            if size < 1:
                raise InvalidInputError(f"{name} is at least 1; got {size}")
        if self.genotype is not None:
            reads = Reads(sizes["num_frames"], self.frame_stride, sizes["image_size"])
            return self.genotype.reading(reads).lower(sizes["num_classes"], head=head or "mean")
        if head is not None:
            raise InvalidInputError(
                f"head is a choice of Tiny Video Networks; {self.name} has its own: leave --head out"
            )
        assert self.build is not None
        return self.build(**sizes, frame_stride=self.frame_stride)


def zoo_entry(name: str) -> ZooEntry:
    """A network by its name.

    Raises:
        InvalidInputError: there is none of that name; the nearest one is named.
    """
    if name in ZOO:
        return ZOO[name]
    if name in ("tvn5", "tvn6"):
        raise InvalidInputError(f"{NOT_PUBLISHED}; got {name!r}: the published ones are {', '.join(_TVN)}")
    raise InvalidInputError(f"a network is one of {', '.join(ZOO)}; got {name!r}{did_you_mean(name, ZOO)}")


_TVN = {
    "tvn1": tvn.TVN1,
    "tvn2": tvn.TVN2,
    "tvn3": tvn.TVN3,
    "tvn4": tvn.TVN4,
    "tvn-mobile-1": tvn.TVN_MOBILE_1,
    "tvn-mobile-2": tvn.TVN_MOBILE_2,
}


def _tvn_entry(name: str, genotype: tvn.Genotype) -> ZooEntry:
    return ZooEntry(
        name=name,
        source="Piergiovanni et al., Tiny Video Networks; released definition",
        num_frames=genotype.num_frames,
        image_size=genotype.image_size,
        frame_stride=genotype.frame_stride,
        num_classes=339,
        genotype=genotype,
    )


def _r2plus1d_entry(layers: int) -> ZooEntry:
    published = (
        "torchvision r2plus1d_18" if layers == 18 else "torchvision's VideoResNet, 3-4-6-3 (the TVN paper defines none)"
    )
    return ZooEntry(
        name=f"r2plus1d-{layers}",
        source=f"Tran et al. 2018; {published}",
        num_frames=16,
        image_size=112,
        frame_stride=2,
        num_classes=400,
        build=functools.partial(r2plus1d, blocks=BLOCKS[layers], bottleneck=layers == 50),
    )


def _mobilenetv3_entry(variant: str, table: tuple[Bottleneck, ...], hidden: int) -> ZooEntry:
    return ZooEntry(
        name=f"mobilenetv3-{variant}",
        source=f"Howard et al. 2019; torchvision mobilenet_v3_{variant} on each frame, max over time",
        num_frames=8,
        image_size=224,
        frame_stride=8,
        num_classes=339,
        build=functools.partial(mobilenetv3, table=table, hidden=hidden),
    )


def _x3d_entry(size: str, num_frames: int, image_size: int, frame_stride: int, depth_factor: float = 2.2) -> ZooEntry:
    return ZooEntry(
        name=f"x3d-{size}",
        source="Feichtenhofer 2020; pytorchvideo create_x3d",
        num_frames=num_frames,
        image_size=image_size,
        frame_stride=frame_stride,
        num_classes=400,
        build=functools.partial(x3d, depth_factor=depth_factor),
    )


def _movinet_entry(size: str) -> ZooEntry:
    spec = SPECS[size]
    return ZooEntry(
        name=f"movinet-{size}",
        source="Kondratyuk et al. 2021; TensorFlow Model Garden, base network",
        num_frames=spec.num_frames,
        image_size=spec.image_size,
        frame_stride=spec.frame_stride,
        num_classes=600,
        build=functools.partial(movinet, spec),
    )


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        *(_tvn_entry(name, genotype) for name, genotype in _TVN.items()),
        *map(_r2plus1d_entry, BLOCKS),
        _mobilenetv3_entry("small", SMALL, HIDDEN_SMALL),
        _mobilenetv3_entry("large", LARGE, HIDDEN_LARGE),
        _x3d_entry("xs", 4, 160, 12),
        _x3d_entry("s", 13, 160, 6),
        _x3d_entry("m", 16, 224, 5),
        _x3d_entry("l", 16, 312, 5, depth_factor=5.0),
        *map(_movinet_entry, SPECS),
    )
}


def count_network(name: str) -> dict[str, Any]:
    """What a list of networks says of one, at its own input and classes: exact counts, input, source.

    Raises:
        InvalidInputError: there is none of that name; the nearest one is named.
    """
    entry = zoo_entry(name)
    network = entry.network()
    return {
        "name": name,
        "params": network.params,
        "macs": network.macs,
        "num_frames": entry.num_frames,
        "image_size": entry.image_size,
        "num_classes": entry.num_classes,
        "source": entry.source,
    }
