"""What a report says, free of how it is written down: ``page`` and ``markdown`` both render these parts.

All text is plain text; the renderers escape it.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paragraph:
    text: str
    strong: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callout:
    """Lines set apart: ``alert`` for what breaks a rule, ``caution`` for what weakens a claim, ``fine`` for neither."""

    lines: tuple[str, ...]
    level: Literal["alert", "caution", "fine"] = "caution"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    text: str
    note: str = ""
    """Small print under the text."""
    alert: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a header; the first column names the row, a ``numeric`` table aligns the others right."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    numeric: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn figure: ``svg`` without namespaces or outside references for the page, ``png`` for Markdown."""

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
class Code:
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subtitle:
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Details:
    """Parts that are folded away until asked for."""

    summary: str
    blocks: "tuple[Part, ...]"


Part = Paragraph | Callout | Table | Picture | Gallery | Code | Subtitle | Details


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Part, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
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
