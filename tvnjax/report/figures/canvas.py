"""How every figure looks and how it becomes SVG text and PNG bytes.

Figures are made with matplotlib's objects and never with pyplot, so that a report leaves a notebook's figures alone.
"""

import contextlib
import dataclasses
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tvnjax.core.printable import printable

POINTS_PER_INCH = 72
WIDTH = 720.0
"""Of the wide figures, in points."""
PNG_DPI = 120

INK = "#1f2933"
FAINT = "#6b7680"
RULE = "#d5dae0"
BUDGET_LINE = "#1f2933"

_NAME, _LINE, _LINES = 60, 200, 20
"""Characters of a name and of a line of text in a drawing, and lines of one text."""

_LOOK: dict[str, Any] = {
    # Text stays text: it can be searched and read out, and weighs less than outlines.
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    # A class or a key with a dollar sign in it is not a formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#e8ebee",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


_LETTERS = 14.0
"""Of a legend, to an inch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Colour, marker and dashes of a strategy, so that no figure tells strategies apart by colour alone."""

    colour: str
    marker: str
    dashes: Any


# Okabe and Ito's palette, which stays apart under the common colour-vision deficiencies.
_KNOWN = {
    "differentiable": Look(colour="#0072b2", marker="o", dashes="solid"),
    "evolution": Look(colour="#d55e00", marker="s", dashes=(0, (6, 2))),
    "random": Look(colour="#009e73", marker="^", dashes=(0, (2, 1.5))),
    "hybrid": Look(colour="#cc79a7", marker="D", dashes=(0, (6, 2, 1.5, 2))),
}
# Of the others, 4 x 11 x 5 of which no two are alike: the numbers have no common divisor.
_COLOURS = ("#e69f00", "#56b4e9", "#5c4b8a", "#7a7a7a")
_MARKERS = "vPXp<>h*d8H"
_DASHES: tuple[Any, ...] = ((0, (4, 1)), (0, (1, 1)), (0, (8, 2, 1, 2, 1, 2)), (0, (3, 3)), (0, (12, 2)))


def strategy_looks(names: Sequence[str]) -> dict[str, Look]:
    """The look of each strategy: fixed for the well-known ones, by order for others."""
    others = [name for name in dict.fromkeys(names) if name not in _KNOWN]
    return _KNOWN | {name: _other_look(index) for index, name in enumerate(others)}


def _other_look(index: int) -> Look:
    colour, marker, dashes = (kinds[index % len(kinds)] for kinds in (_COLOURS, _MARKERS, _DASHES))
    return Look(colour=colour, marker=marker, dashes=dashes)


def strategy_legend(
    figure: Figure, looks: Mapping[str, Look], names: Sequence[str], *, line: bool = True, columns: int = 5
) -> None:
    """Names the strategies above a figure, with a line or a marker alone."""
    handles = [
        Line2D(
            [],
            [],
            color=looks[name].colour,
            marker=looks[name].marker,
            linestyle=looks[name].dashes if line else "none",
            # matplotlib leaves out what begins with "_".
            label=printable(f" {name}" if name.startswith("_") else name, _NAME),
        )
        for name in names
    ]
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(min(len(handles), columns, int(figure.get_figwidth() * _LETTERS // (longest + 6))), 1)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=3 if line else 1)


@contextlib.contextmanager
def report_style() -> Iterator[None]:
    """matplotlib's settings for a report; the ones before come back at the end, whatever a notebook has set."""
    with matplotlib.style.context(["default", _LOOK]):
        yield


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty figure of ``width`` by ``height`` points (72 an inch)."""
    size = (width / POINTS_PER_INCH, height / POINTS_PER_INCH)
    return Figure(figsize=size, layout="constrained" if constrained else None)


def budget_line(axes: Axes, budgets: Sequence[float], *, vertical: bool) -> None:
    """Draws each budget (milliseconds) as a dashed line, the labels at its end."""
    for budget in sorted(set(budgets)):
        draw, label = (
            (axes.axvline, axes.get_xaxis_transform()) if vertical else (axes.axhline, axes.get_yaxis_transform())
        )
        draw(budget, color=BUDGET_LINE, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
        x, y = (budget, 0.02) if vertical else (0.99, budget)
        axes.annotate(
            f"budget {budget:.3g} ms",
            (x, y),
            xycoords=label,
            xytext=(3, 0) if vertical else (0, 3),
            textcoords="offset points",
            ha="left" if vertical else "right",
            va="bottom",
            fontsize=8,
            rotation=90 if vertical else 0,
        )


def plain_log_axis(axis: Any) -> None:
    """A logarithmic axis labelled 1, 2, 5, 10 instead of with powers, or evenly where it spans less than that."""
    low, high = axis.get_view_interval()
    narrow = high < 5 * low
    axis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def save(figure: Figure, file: Any, **options: Any) -> None:
    """``Figure.savefig`` after every text was made printable: names stand in legends, titles and beside rows, and what
    is no text to a font or to XML is an error there.

    Warns once of characters that matplotlib's font lacks, such as Chinese ones: a picture has boxes in their place.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text("\n".join(printable(line, _LINE) for line in text.get_text().split("\n")[:_LINES]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(file, **options)
    lacking = [one for one in caught if "missing from font" in str(one.message)]
    for one in caught:
        if one not in lacking:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking:
        warnings.warn(
            "pictures have boxes in place of characters that matplotlib's font lacks; the HTML page and SVG files name "
            "them as text",
            stacklevel=2,
        )


def to_png(figure: Figure) -> bytes:
    """PNG bytes of a figure that ``to_svg`` has drawn; its layout stays as it came out there, which saves time."""
    figure.set_layout_engine("none")
    buffer = io.BytesIO()
    save(figure, buffer, format="png", dpi=PNG_DPI)
    return buffer.getvalue()


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """SVG text to stand inside an HTML page: scalable, described in words, its ids starting with ``name``.

    An SVG inside HTML needs no namespaces, so none are written and the page holds no address at all.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        save(figure, buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = _local(element.tag)
        for key in list(element.attrib):
            element.set(_local(key), _own_ids(_local(key), element.attrib.pop(key), name))
        if element.tag == "g":
            # matplotlib numbers every group; nothing refers to these numbers.
            element.attrib.pop("id", None)
    _remove(root, ("metadata", "style"))
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib.pop("version", None)
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    # What the removed style sheet said, for this drawing alone.
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    for index, (tag, attribute, text) in enumerate(
        (("title", "aria-labelledby", title), ("desc", "aria-describedby", description))
    ):
        words = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        words.text = printable(text)
        root.insert(index, words)
        root.set(attribute, f"{name}-{tag}")
    return ElementTree.tostring(root, encoding="unicode")


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _own_ids(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)


def _remove(parent: ElementTree.Element, tags: tuple[str, ...]) -> None:
    for child in list(parent):
        if child.tag in tags:
            parent.remove(child)
        else:
            _remove(child, tags)
