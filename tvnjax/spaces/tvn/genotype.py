"""The genes of a Tiny Video Network: values, validation, JSON.

Sources: the Tiny Video Networks paper (Piergiovanni, Angelova, Ryoo) for the genes and their ranges, the released
network definitions for ``expand`` and for what the paper leaves open.
"""

import dataclasses
from typing import Any, Literal, get_args

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.untrusted import MIB
from tvnjax.graph import HeadKind, Network
from tvnjax.spaces.base import Reads
from tvnjax.spaces.tvn.own_operators import OwnOperator, as_operator

SpatialType = Literal["std", "1std", "depth", "maxpool", "avgpool"]
TemporalType = Literal["1d", "maxpool", "avgpool"]
Activation = Literal["relu", "hswish"]

POOLS = ("maxpool", "avgpool")
OPERATOR_GENES = {"spatial_type": get_args(SpatialType), "temporal_type": get_args(TemporalType)}
"""Genes whose values may also be own operators (``own_operators``), with the space's own values."""

_FILE_LIMIT = MIB
"""Bytes of a genotype's file; one of eight blocks has four thousand."""


def also(gene: str, value: Any) -> OwnOperator | None:
    """The own operator that a value of an operator gene stands for, if it is none of the space's.

    Raises:
        InvalidInputError: see ``as_operator``.
    """
    return as_operator(value, OPERATOR_GENES[gene])


def kinds(gene: str, values: Any) -> tuple[str, ...]:
    """Values of an operator gene, layers by their names.

    Raises:
        InvalidInputError: one is none.
    """
    return tuple(getattr(Block(**{gene: value}), gene) for value in values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """One block: ``repeats`` units with the same genes and separate weights.

    Raises:
        InvalidInputError: a gene lies outside its range.
    """

    spatial_type: SpatialType = "std"
    """``std`` and ``depth`` start with a 1x1 convolution, ``1std`` does not; pools keep the channels."""
    spatial_kernel: int = 1
    """1 to 8; 1 is the identity, whatever the type, the stride and the filters say."""
    spatial_stride: int = 1
    """1 to 8, in the first repeat only."""
    spatial_act: Activation = "relu"
    temporal_type: TemporalType = "1d"
    temporal_kernel: int = 1
    """1 to 8; 1 is the identity."""
    temporal_stride: int = 1
    """1 to 8, in the first repeat only."""
    temporal_act: Activation = "relu"
    filters: int = 32
    expand: int = 1
    """0 to 8: the unit ends ``filters * expand`` wide; 0 leaves the expanding 1x1 convolution out."""
    repeats: int = 1
    squeeze: float = 0.0
    """0 is off; a ratio in (0, 1) gives ``max(int(width * ratio), 8)`` hidden channels."""
    context_gate: bool = False
    skip: bool = False
    non_local: int = 0
    """0 is off; 4 to 1024 bottleneck channels of a non-local layer."""
    act: Activation = "relu"
    inverted_bottleneck: bool = False

    def __post_init__(self) -> None:
        for name, choices in (
            ("spatial_type", get_args(SpatialType)),
            ("temporal_type", get_args(TemporalType)),
            ("spatial_act", get_args(Activation)),
            ("temporal_act", get_args(Activation)),
            ("act", get_args(Activation)),
        ):
            value = getattr(self, name)
            if name in OPERATOR_GENES and (own := also(name, value)) is not None:
                object.__setattr__(self, name, own)
            elif value not in choices:
                hint = did_you_mean(str(value), choices)
                raise InvalidInputError(f"{name} is one of {', '.join(choices)}; got {value!r:.60}{hint}")
        for name in ("spatial_kernel", "spatial_stride", "temporal_kernel", "temporal_stride", "repeats"):
            _check_int(name, getattr(self, name), 1, 8)
        _check_int("filters", self.filters, 1, 2048)
        _check_int("expand", self.expand, 0, 8)
        if self.non_local != 0:
            _check_int("non_local", self.non_local, 4, 1024, also="or 0 for none")
        if isinstance(self.squeeze, bool) or not isinstance(self.squeeze, int | float):
            raise InvalidInputError(f"squeeze is 0 or a ratio in (0, 1); got {self.squeeze!r:.60}")
        if not 0 <= self.squeeze < 1:
            raise InvalidInputError(f"squeeze is 0 or a ratio in (0, 1); got {self.squeeze!r:.60}")
        object.__setattr__(self, "squeeze", float(self.squeeze))
        for name in ("context_gate", "skip", "inverted_bottleneck"):
            value = getattr(self, name)
            if value not in (0, 1) or isinstance(value, float):
                raise InvalidInputError(f"{name} is true or false; got {value!r:.60}")
            object.__setattr__(self, name, bool(value))

    @property
    def expanded(self) -> int:
        """Channels after the expanding convolution, ``max(filters * expand, filters)``."""
        return max(self.filters * self.expand, self.filters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Genotype:
    """A whole network: what it reads (pixels, frames, frames apart) and its blocks.

    Raises:
        InvalidInputError: a gene lies outside its range, or there is no block.
    """

    image_size: int
    """Height and width of a frame in pixels. The paper's grid is 32 to 320 in steps of 32."""
    num_frames: int
    frame_stride: int = 1
    """Frames of the video from one frame read to the next."""
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        _check_int("image_size", self.image_size, 1, 1024)
        _check_int("num_frames", self.num_frames, 1, 64)
        _check_int("frame_stride", self.frame_stride, 1, 64)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not 1 <= len(self.blocks) <= 8:
            raise InvalidInputError(f"a network has 1 to 8 blocks; got {len(self.blocks)}")

    @property
    def id(self) -> str:
        """Of the network: equal for genotypes that differ in genes which do nothing."""
        from tvnjax.spaces.tvn.canonical import genotype_id  # which needs this module

        return genotype_id(self)

    @property
    def reads(self) -> Reads:
        return Reads(self.num_frames, self.frame_stride, self.image_size)

    def reading(self, reads: Reads) -> "Genotype":
        """The same blocks on other clips.

        Raises:
            InvalidInputError: a size lies outside its range.
        """
        return dataclasses.replace(self, **reads._asdict())

    def lower(self, num_classes: int, *, channels: int = 3, head: HeadKind = "mean") -> Network:
        """The network as primitive layers; see ``lowering.lower``."""
        from tvnjax.spaces.tvn.lowering import lower  # which needs this module

        return lower(self, num_classes, channels=channels, head=head)

    def genes(self) -> dict[Any, Any]:
        """Every gene's value, those of blocks under ``(index, name)``."""
        genes: dict[Any, Any] = {key: getattr(self, key) for key in ("image_size", "num_frames", "frame_stride")}
        for index, block in enumerate(self.blocks):
            genes |= {(index, gene): value for gene, value in dataclasses.asdict(block).items()}
        return genes

    def to_json(self, *, short: bool = False) -> dict[str, Any]:
        """A JSON-ready dictionary; ``genotype_from_json`` reads it back to an equal genotype.

        Args:
            short: blocks without the genes that have their default.
        """
        blocks, default = [dataclasses.asdict(block) for block in self.blocks], dataclasses.asdict(Block())
        if short:
            blocks = [{k: v for k, v in block.items() if v != default[k]} for block in blocks]
        return {
            "image_size": self.image_size,
            "num_frames": self.num_frames,
            "frame_stride": self.frame_stride,
            "blocks": blocks,
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        from tvnjax.spaces.tvn.html import genotype_html  # which needs this module

        return genotype_html(self)

    def replace_block(self, index: int, **genes: Any) -> "Genotype":
        """The same network with the named genes of block ``index`` changed."""
        blocks = list(self.blocks)
        blocks[index] = dataclasses.replace(blocks[index], **genes)
        return dataclasses.replace(self, blocks=tuple(blocks))


def genotype_from_json(data: Any) -> Genotype:
    """Reads a genotype from parsed JSON; a ``name`` beside the genes is allowed and ignored.

    Raises:
        InvalidInputError: a field is unknown, missing or out of range.
    """
    if not isinstance(data, dict):
        raise InvalidInputError(f"a genotype is a JSON object; got {type(data).__name__}")
    fields = {key: value for key, value in data.items() if key != "name"}
    _check_fields(fields, Genotype, "genotype")
    blocks = fields.pop("blocks")
    if not isinstance(blocks, list):
        raise InvalidInputError(f"blocks is a list; got {type(blocks).__name__}")
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise InvalidInputError(f"a block is a JSON object; block {index} is {type(block).__name__}")
        _check_fields(block, Block, f"block {index}")
    return Genotype(**fields, blocks=tuple(Block(**block) for block in blocks))


def _check_fields(data: dict[str, Any], cls: type, where: str) -> None:
    known = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in known:
            raise InvalidInputError(f"{where} has no gene {key!r:.60}{did_you_mean(str(key), known)}")
    for name, field in known.items():
        if name not in data and field.default is dataclasses.MISSING:
            raise InvalidInputError(f"{where} needs the gene {name!r}; it is missing")


def _check_int(name: str, value: Any, low: int, high: int, also: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        rule = f"{name} is a whole number from {low} to {high}" + (f" {also}" if also else "")
        raise InvalidInputError(f"{rule}; got {value!r:.60}")
