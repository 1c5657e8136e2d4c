"""Networks people know, lowered to the primitive layers of ``tvnjax.graph.network``: counted, timed, drawn, trained and
exported by the code that serves Tiny Video Networks. Plain Python, as ``tvnjax.graph`` is.

``tvnjax.zoo.networks()`` counts them; in a notebook ``tvnjax.zoo`` shows the same.
"""

import sys
import types
from collections.abc import Iterator
from typing import Any


def names() -> list[str]:
    """The networks' names, as ``tvnjax.load`` and every command take them."""
    from tvnjax.zoo.registry import ZOO

    return list(ZOO)


def networks() -> list[dict[str, Any]]:
    """A row for each network: name, parameters, multiply-adds of one clip, its input, its classes and its source."""
    from tvnjax.zoo.registry import count_network

    return [count_network(name) for name in names()]


class _Zoo(types.ModuleType):
    """The module, which a notebook shows as the table of its networks."""

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())

    def __contains__(self, name: object) -> bool:
        return name in names()

    def __repr__(self) -> str:
        return f"<tvnjax.zoo: {len(self)} networks; names() and networks() list them>"

    def _repr_html_(self) -> str:
        import html

        rows = networks()
        head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
        shown = [[f"{v:,}" if isinstance(v, int) else html.escape(str(v)) for v in row.values()] for row in rows]
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in shown)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


sys.modules[__name__].__class__ = _Zoo
