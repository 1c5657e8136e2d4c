"""The comparisons of the Tiny Video Networks paper: what each holds, and the figures the paper gives.

Of the paper's figures only those are here that could be checked: those its abstract and text give for TVN-1 and TVN-2,
and those for frames and activations. Whoever has the paper at hand types in more (``read_published``).
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.untrusted import MIB, in_range, read_text
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.scaling import compound_scale, scale_genotype
from tvnjax.zoo.registry import NOT_PUBLISHED, ZOO, ZooEntry
from tvnjax.zoo.resolve import find_network, of_genotype
from tvnjax.zoo.tvn import TVN1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What the paper says of a network; ``None`` where it is silent, or not at hand."""

    cpu_ms: float | None = None
    """On the authors' CPU, one clip."""
    gpu_ms: float | None = None
    params_m: float | None = None
    """Millions."""
    gflops: float | None = None
    """10^9, by a rule the paper does not state."""
    top1: float | None = None
    """Per cent, of the set that ``data`` names."""
    data: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One network of a comparison."""

    name: str
    entry: ZooEntry
    published: Published = Published()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One comparison."""

    key: str
    title: str
    rows: tuple[PaperRow, ...]
    remarks: tuple[str, ...] = ()


FIGURES = ("cpu_ms", "gpu_ms", "params_m", "gflops", "top1")
_COLUMNS = ("table", "network", *FIGURES, "data")
_LIMIT = MIB

COUNTS_DISAGREE = (
    "The paper's 11.1 M parameters and 13.0 GFLOPs of TVN-1 come from no reading of its released definition, which has "
    "26,414,721 and 4,326,160,640 multiply-adds with 339 classes."
)


def _variant(name: str, genotype: Genotype, published: Published | None = None) -> PaperRow:
    entry = of_genotype(name, genotype, "TVN-1's released definition, changed")
    return PaperRow(name=name, entry=entry, published=published or Published())


def _all_blocks(genotype: Genotype, **genes: Any) -> Genotype:
    blocks = tuple(dataclasses.replace(block, **genes) for block in genotype.blocks)
    return dataclasses.replace(genotype, blocks=blocks)


def _named(*names: str, published: Mapping[str, Published] | None = None) -> tuple[PaperRow, ...]:
    known = published or {}
    return tuple(PaperRow(name=name, entry=ZOO[name], published=known.get(name, Published())) for name in names)


_TVN1_FIGURES = Published(cpu_ms=37, gpu_ms=10, params_m=11.1, gflops=13.0)


def paper_tables() -> tuple[PaperTable, ...]:
    """Every comparison, its networks ready to be lowered."""
    pixels = (128, 160, 192, 224, 256, 320)
    frames = {2: Published(cpu_ms=37), 4: None, 8: Published(cpu_ms=140), 16: Published(cpu_ms=200)}
    return (
        PaperTable(
            key="found",
            title="The networks found, beside (2+1)D ResNets",
            rows=_named(
                *("tvn1", "tvn2", "tvn3", "tvn4", "r2plus1d-18", "r2plus1d-34", "r2plus1d-50"),
                published={"tvn1": _TVN1_FIGURES, "tvn2": Published(cpu_ms=65, gpu_ms=13)},
            ),
            remarks=(
                COUNTS_DISAGREE,
                "The paper defines none of its (2+1)D ResNets; these are torchvision's VideoResNet at its own input.",
                NOT_PUBLISHED + ".",
            ),
        ),
        PaperTable(
            key="mobile",
            title="Mobile networks, beside MobileNetV3 on each frame",
            rows=_named("tvn-mobile-1", "tvn-mobile-2", "mobilenetv3-small", "mobilenetv3-large"),
            remarks=("MobileNetV3 scores each of 8 frames; a class's score is its largest over time.",),
        ),
        PaperTable(
            key="frames",
            title="TVN-1 with more frames",
            rows=tuple(
                _variant(f"tvn1-{count}-frames", scale_genotype(TVN1, num_frames=count), published)
                for count, published in frames.items()
            ),
        ),
        PaperTable(
            key="pixels",
            title="TVN-1 with other image sizes",
            rows=tuple(_variant(f"tvn1-{size}-pixels", scale_genotype(TVN1, image_size=size)) for size in pixels),
        ),
        PaperTable(
            key="scaling",
            title="TVN-1 made larger",
            rows=(
                _variant("tvn1", TVN1, _TVN1_FIGURES),
                _variant("tvn1-wider", scale_genotype(TVN1, width=4)),
                _variant("tvn1-deeper", scale_genotype(TVN1, depth=2)),
                _variant("tvn1-256-pixels-8-frames", scale_genotype(TVN1, image_size=256, num_frames=8)),
                *(_variant(f"tvn1-en-{phi}", compound_scale(TVN1, phi)) for phi in (1, 2, 3)),
            ),
            remarks=(
                "wider: four times the filters; deeper: twice the repeats; en-N: EfficientNet's compound scaling to "
                "the power of N, as 'tvnjax scale --compound N'.",
                COUNTS_DISAGREE,
            ),
        ),
        PaperTable(
            key="parts",
            title="TVN-1 with other parts",
            rows=(
                _variant("tvn1", TVN1, _TVN1_FIGURES),
                _variant(
                    "tvn1-hard-swish", _all_blocks(TVN1, act="hswish", spatial_act="hswish", temporal_act="hswish")
                ),
                _variant("tvn1-no-squeeze-excite", _all_blocks(TVN1, squeeze=0.0)),
                _variant("tvn1-no-context-gate", _all_blocks(TVN1, context_gate=False)),
                _variant("tvn1-neither", _all_blocks(TVN1, squeeze=0.0, context_gate=False)),
            ),
            remarks=("The paper's text gives hard-swish 5 % more time than ReLU.",),
        ),
    )


def read_published(path: Path, tables: Iterable[PaperTable]) -> tuple[PaperTable, ...]:
    """The tables with the paper's figures that a CSV file adds: one row a network, an empty cell for no figure.

    Columns: ``table,network`` and any of ``cpu_ms,gpu_ms,params_m,gflops,top1,data``. A network that a table does not
    have is added to it where it is one of the zoo or a genotype's file.

    Raises:
        InvalidInputError: there is no such file, or one of its rows breaks a rule.
    """
    by_key = {table.key: table for table in tables}
    for where, cells in _records(path):
        key, name = cells.pop("table"), cells.pop("network")
        if key not in by_key:
            raise InvalidInputError(
                f"table is one of {', '.join(by_key)}; {where} has {key!r:.60}{did_you_mean(key, by_key)}"
            )
        table, figures = by_key[key], _figures(cells, where)
        rows = {row.name: row for row in table.rows}
        if name in rows:
            rows[name] = dataclasses.replace(rows[name], published=dataclasses.replace(rows[name].published, **figures))
        else:
            try:
                entry = find_network(name)
            except InvalidInputError as error:
                raise InvalidInputError(f"{where}: {error}; rows of {key} are {', '.join(rows)}") from None
            rows[name] = PaperRow(name=name, entry=entry, published=Published(**figures))
        by_key[key] = dataclasses.replace(table, rows=tuple(rows.values()))
    return tuple(by_key.values())


def _records(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    text = read_text(path, "a table of published figures", _LIMIT)
    try:
        lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise InvalidInputError(f"{path} is no well-formed CSV: {error}; save it again as CSV") from None
    header = [name.strip() for name in lines[0]] if lines else []
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown or len(set(header)) < len(header) or not {"table", "network"} <= set(header):
        raise InvalidInputError(
            f"columns are table, network and any of {', '.join(_COLUMNS[2:])}, each once; {path} has "
            f"{', '.join(header) or 'none'!r:.200}"
        )
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise InvalidInputError(
                f"a row has the {len(header)} cells of the header; {path} row {number} has {len(cells)}"
            )
        yield f"{path} row {number}", {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _figures(cells: Mapping[str, str], where: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, cell in cells.items():
        if not cell:
            continue
        if name == "data":
            figures[name] = cell
            continue
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not value > 0 or not in_range(value) or (name == "top1" and value > 100):
            raise InvalidInputError(
                f"{name} is a number above 0{', in per cent' if name == 'top1' else ''}; {where} has {cell!r:.60}"
            )
        figures[name] = value
    return figures
