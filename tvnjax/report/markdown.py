"""A report as Markdown, with its figures as PNG files beside it."""

import html
import re

from tvnjax.core.printable import printable
from tvnjax.report.document import (
    Callout,
    Cell,
    Code,
    Details,
    Document,
    Gallery,
    Paragraph,
    Part,
    Picture,
    Subtitle,
    Table,
)

FIGURES = "figures"
"""Directory of the PNG files, relative to the Markdown file."""

_BEGINNING = re.compile(r"^(\d{1,9}(?=[.)](?: |$))|(?=[-+](?: |$)|--|=+ ?$))(.)")
"""A line that would be an item of a list, a rule, or make the one above it a heading, up to what is to be escaped."""
_LONGEST = 25_000
"""Characters; what a document holds is shorter (``report.document``)."""
_LEVELS = {"alert": "Alert", "caution": "Caution", "fine": "Fine"}


def render_markdown(document: Document) -> str:
    """The document as Markdown that means the same on GitHub and in a plain viewer."""
    lines = [f"# {escape(document.title)}"]
    for section in document.sections:
        lines.append(f"## {escape(section.title)}")
        lines += [_part(block) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


_ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
"""What GitHub makes a link of without being asked to."""


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no HTML, no emphasis, no links, no table cells, no list."""
    flat = " ".join(html.escape(printable(text, _LONGEST), quote=False).split())
    flat = re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", flat)
    flat = _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", flat)
    return _BEGINNING.sub(lambda found: f"{found[1]}\\{found[2]}", flat)


def _marked(text: str, mark: str) -> str:
    """Emphasised text; around nothing the marks would be a rule, or stand there themselves."""
    shown = escape(text)
    return f"{mark}{shown}{mark}" if shown else ""


def _part(block: Part) -> str:
    match block:
        case Paragraph():
            return _marked(block.text, "**" if block.strong else "")
        case Callout():
            return "\n>\n".join(f"> **{_LEVELS[block.level]}.** {escape(line)}" for line in block.lines)
        case Table():
            return _table(block)
        case Picture():
            return f"![{escape(block.alt)}]({FIGURES}/{block.name}.png)\n\n{_marked(block.caption, '*')}"
        case Gallery():
            return "\n\n".join(_part(picture) for picture in block.pictures)
        case Code():
            longest = max((len(run) for run in re.findall("`+", block.text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{block.text}\n{fence}"
        case Subtitle():
            return f"### {escape(block.text)}"
        case Details():
            inner = "\n\n".join(_part(part) for part in block.blocks)
            return (
                f"<details>\n<summary>{html.escape(' '.join(block.summary.split()))}</summary>\n\n{inner}\n\n</details>"
            )


def _table(table: Table) -> str:
    aligned = "---:" if table.numeric else "---"
    lines = [_row([escape(name) for name in table.header]), _row(["---", *[aligned] * (len(table.header) - 1)])]
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    caption = f"{escape(table.caption)}\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _row(values: list[str]) -> str:
    return "| " + " | ".join(value or " " for value in values) + " |"


def _cell(cell: Cell) -> str:
    text = _marked(cell.text, "**" if cell.alert else "")
    return f"{text} <br><small>{escape(cell.note)}</small>" if cell.note else text
