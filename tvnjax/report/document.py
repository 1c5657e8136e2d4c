"""What a report says, free of how it is written down: ``page`` and ``markdown`` both render these parts.

All text is plain text with nothing hidden in it (``core.printable``), made so as a part is made; the renderers escape
what means something to them.
"""

import dataclasses
from typing import Any, ClassVar, Literal

from tvnjax.core.printable import printable

_HEADER, _CELL, _TEXT, _CODE = 60, 1000, 20_000, 200_000
"""Characters of a column's name, which makes its column as wide, of a cell, a paragraph and a block of code; what is
longer is shortened in its middle, which says so."""


class Words:
    """A part whose text is printable."""

    limit: ClassVar[int] = _TEXT
    keep: ClassVar[str] = ""
    drawn: ClassVar[tuple[str, ...]] = ()
    """Fields that are no text."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name not in self.drawn:
                limit = _HEADER if field.name == "header" else self.limit
                object.__setattr__(self, field.name, self._shown(getattr(self, field.name), limit))

    def _shown(self, value: Any, limit: int) -> Any:
        if isinstance(value, str):
            return printable(value, limit, self.keep)
        if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            return tuple(printable(item, limit, self.keep) for item in value)
        return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paragraph(Words):
    text: str
    strong: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callout(Words):
    """Lines set apart: ``alert`` for what breaks a rule, ``caution`` for what weakens a claim, ``fine`` for neither."""

    lines: tuple[str, ...]
    level: Literal["alert", "caution", "fine"] = "caution"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell(Words):
    limit = _CELL
    text: str
    note: str = ""
    """Small print under the text."""
    alert: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table(Words):
    """Rows of cells under a header; the first column names the row, a ``numeric`` table aligns the others right."""

    limit = _CELL
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    numeric: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture(Words):
    """A drawn figure: ``svg`` without namespaces or outside references for the page, ``png`` for Markdown."""

    drawn = ("svg",)
    name: str
    caption: str
    alt: str
    svg: str
    png: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gallery:
    """Narrow pictures side by side where there is room."""

    pictures: tuple[Picture, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code(Words):
    limit = _CODE
    keep = "\n"
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subtitle(Words):
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Details(Words):
    """Parts that are folded away until asked for."""

    summary: str
    blocks: "tuple[Part, ...]"


Part = Paragraph | Callout | Table | Picture | Gallery | Code | Subtitle | Details


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section(Words):
    anchor: str
    title: str
    blocks: tuple[Part, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document(Words):
    title: str
    sections: tuple[Section, ...]

    def pictures(self) -> list[Picture]:
        """All pictures, in their order."""
        return [picture for section in self.sections for picture in _pictures(section.blocks)]


def cells(*values: str) -> tuple[Cell, ...]:
    """A row of plain cells."""
    return tuple(Cell(text=value) for value in values)


def _pictures(blocks: tuple[Part, ...]) -> list[Picture]:
    found: list[Picture] = []
    for block in blocks:
        if isinstance(block, Picture):
            found.append(block)
        elif isinstance(block, Gallery):
            found.extend(block.pictures)
        elif isinstance(block, Details):
            found.extend(_pictures(block.blocks))
    return found
