"""What a recording of a search's steps shows: the operations that took the most time."""

from typing import Any

from tvnjax.report.document import Paragraph, Part, Subtitle, Table, cells
from tvnjax.report.record import RunRecord, number


def costliest_operations(record: RunRecord) -> list[Part]:
    """One table for every search that was recorded; nothing where none was."""
    parts: list[Part] = []
    for event in record.select("trace"):
        rows = [_row(one) for one in event.get("operations") or [] if isinstance(one, dict)]
        first, steps, seconds = (number(event, name) for name in ("first", "steps", "seconds"))
        if not rows or first is None or steps is None or seconds is None:
            continue
        told = (
            f"{event.get('strategy')}, seed {event.get('seed')}: steps {first:.0f} to {first + steps - 1:.0f} in "
            f"{seconds:.2f} s, recorded in {event.get('folder')}/ (open perfetto_trace.json.gz at ui.perfetto.dev, or "
            "the folder in TensorBoard). Times are added over cores."
        )
        header = ("operation", "program", "calls", "ms", "part (%)")
        parts += [Subtitle(text="Costliest operations"), Paragraph(text=told), Table(header=header, rows=tuple(rows))]
    return parts


def _row(one: dict[str, Any]) -> Any:
    calls, ms, part = (number(one, name) or 0.0 for name in ("calls", "ms", "part"))
    return cells(str(one.get("name")), str(one.get("program")), f"{calls:.0f}", f"{ms:.3g}", f"{100 * part:.1f}")
