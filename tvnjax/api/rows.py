"""Rows of plain values that a notebook shows as a table and pandas takes as they are."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from tvnjax.core.printable import printable

_SHOWN = 50
"""Rows that a notebook shows; the others are counted."""
_CELL = 200


class Rows(list[dict[str, Any]]):
    """A list of dicts of numbers and text, all with the same keys: ``pandas.DataFrame(rows)``."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()):
        found = [dict(row) for row in rows]
        columns = list(dict.fromkeys(key for row in found for key in row))
        super().__init__({key: row.get(key) for key in columns} for row in found)

    @property
    def columns(self) -> list[str]:
        return list(self[0]) if self else []

    def __repr__(self) -> str:
        return printable(f"Rows({len(self):,} × {len(self.columns)}: {', '.join(self.columns)})", 200)

    def _repr_html_(self) -> str:
        return html_table(self.columns, [list(row.values()) for row in self[:_SHOWN]], len(self))


def html_table(columns: Iterable[str], rows: list[list[Any]], count: int | None = None) -> str:
    """A table; all text in it is escaped.

    Args:
        count: rows there are, where not all are shown.
    """
    head = "".join(f"<th>{_escaped(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    more = f"<p>{count - len(rows):,} more rows</p>" if count is not None and count > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else _escaped(value)


def _escaped(value: Any) -> str:
    return html.escape(printable(value, _CELL))
