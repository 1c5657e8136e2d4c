"""Reading a recorded table: every value is checked, since a replay believes all of them."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.untrusted import NotJsonError, parse_json, read_lines
from tvnjax.search.tabular.benchmark import FORMAT, Entry, Recorded, Table
from tvnjax.spaces.base import Space
from tvnjax.spaces.registry import genotype_from_json, space_from_json

_MOST_CLASSES = 100_000
_SECONDS = ("table_seconds", "supernet_seconds", "inherit_seconds")


def read_table(path: Path) -> Table:
    """Reads a table; a last line that was not finished is passed over.

    Raises:
        InvalidInputError: the file is missing or too large (see ``core.untrusted``), or a line is no entry of a table.
    """
    return parse_table(read_lines(Path(path), "a table"), Path(path))


def parse_table(lines: Iterator[tuple[int, bytes]], path: Path) -> Table:
    """A table of its lines, each with its number.

    Raises:
        InvalidInputError: as ``read_table``.
    """
    number, line = next(lines, (1, b""))
    header = _parsed(line, f"{path}, line {number}")
    if header.get("format") != FORMAT:
        raise InvalidInputError(
            f"a table begins with a line of format {FORMAT}; {path} has {header.get('format')!r:.60}"
        )
    space = _read_header(header, f"{path}, line {number}")
    entries: dict[str, Entry] = {}
    for number, line in lines:
        where = f"{path}, line {number}"
        try:
            row = _parsed(line, where)
        except InvalidInputError:
            if line.endswith(b"\n"):
                raise
            break
        entry = _read_entry(row, where)
        if entry.id in entries:
            raise InvalidInputError(f"a network stands in a table once; {where} has {entry.id} again: take one out")
        entries[entry.id] = entry
    if not entries:
        raise InvalidInputError(f"a table holds at least one network; {path} has none: record more")
    return Table(name=str(header.get("table") or path.stem), header=header, space=space, entries=entries)


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = parse_json(line.decode("utf-8"))
    except (NotJsonError, UnicodeDecodeError) as error:
        # ``where`` has the line's number in the file; in itself it is always the first.
        reason = str(error).removeprefix("line 1: ")
        raise InvalidInputError(f"a table has JSON in every line; {where}: {reason}") from None
    if not isinstance(row, dict):
        raise InvalidInputError(f"a line of a table is a JSON object; {where} is {type(row).__name__}")
    return row


def _read_header(header: Mapping[str, Any], where: str) -> Space | None:
    """Checks the facts of a header and returns the space it names, if it names one."""
    classes = header.get("classes")
    if classes is not None:
        _whole("classes", classes, 1, _MOST_CLASSES, where)
    for name in _SECONDS:
        if header.get(name) is not None:
            _measured(name, header[name], where)
    if not isinstance(header.get("environment", {}), dict | None):
        raise InvalidInputError(f"a table's environment is a JSON object; {where} has another")
    return None if header.get("space") is None else space_from_json(header["space"], where)


def _read_entry(row: Mapping[str, Any], where: str) -> Entry:
    try:
        latency, inherited = row.get("latency_ms"), row.get("inherited")
        if latency is not None and not _measured("latency_ms", latency, where) > 0:
            raise InvalidInputError(f"latency_ms is above 0; {where} has 0")
        return Entry(
            genotype=genotype_from_json(row["genotype"]),
            latency_ms=latency,
            check_seconds=_measured("check_seconds", row["check_seconds"], where),
            check_compile_seconds=_measured("check_compile_seconds", row["check_compile_seconds"], where),
            runs=_read_runs(row["runs"], where),
            inherited=None if inherited is None else _shares("inherited", inherited, 2, where),
        )
    except InvalidInputError as error:
        raise InvalidInputError(str(error) if where in str(error) else f"{where}: {error}") from None
    except (KeyError, TypeError) as error:
        raise InvalidInputError(
            f"a network of a table has genotype, latency_ms, seconds and runs; {where}: {error!r:.100}"
        ) from None


def _read_runs(runs: Any, where: str) -> tuple[Recorded, ...]:
    if not isinstance(runs, list) or not runs:
        raise InvalidInputError(f"a network of a table was trained at least once; {where} has runs {runs!r:.60}")
    read = tuple(_read_run(run, where) for run in runs)
    if len({run.seed for run in read}) < len(read):
        raise InvalidInputError(f"the trainings of a network have different seeds; {where} has one twice")
    return read


def _read_run(run: Mapping[str, Any], where: str) -> Recorded:
    if not isinstance(run, dict):
        raise InvalidInputError(f"a training of a table is a JSON object; {where} has {run!r:.60}")
    failed, test_top1 = run.get("failed"), run.get("test_top1")
    if failed is not None and not (isinstance(failed, str) and failed):
        raise InvalidInputError(f"failed says why a training failed; {where} has {failed!r:.60}")
    curve = tuple(_shares("a point of a curve", point, 3, where) for point in run.get("curve", []))
    parts = [part for part, _, _ in curve]
    if any(before >= after for before, after in zip([0.0, *parts], parts)):
        raise InvalidInputError(f"a curve's parts of the steps rise from above 0; {where} has {parts!r:.60}")
    if not failed and (not parts or parts[-1] < 1):
        raise InvalidInputError(f"a training that did not fail is scored at its end, part 1; {where} has {parts!r:.60}")
    return Recorded(
        seed=_whole("seed", run["seed"], 0, 2**63 - 1, where),
        curve=curve,
        seconds=_measured("seconds", run["seconds"], where),
        compile_seconds=_measured("compile_seconds", run.get("compile_seconds", 0.0), where),
        test_top1=None if test_top1 is None else _shares("test_top1", [test_top1], 1, where)[0],
        failed=failed,
    )


def _measured(name: str, value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise InvalidInputError(f"{name} is a number that is not negative; {where} has {value!r:.60}")
    return float(value)


def _whole(name: str, value: Any, low: int, high: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInputError(f"{name} is a whole number from {low} to {high}; {where} has {value!r:.60}")
    return value


def _shares(name: str, values: Any, count: int, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or len(values) != count:
        raise InvalidInputError(f"{name} has {count} numbers; {where} has {values!r:.60}")
    for value in values:
        if _measured(name, value, where) > 1:
            raise InvalidInputError(f"{name} is of shares from 0 to 1; {where} has {value!r:.60}")
    return tuple(map(float, values))
