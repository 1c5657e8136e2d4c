"""What a run goes on from, damaged in form rather than in bytes: JSON, and not what was written there.

Digests are right where a file has them: none of this is caught by them.
"""

import json
import sys
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tvnjax.core.checkpoints import Checkpoints, _digest
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal, digest_of
from tvnjax.core.jsonl import Lines, history, read_lines
from tvnjax.core.lock import LOCK_FILE
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stage
from tvnjax.core.untrusted import LINE_LIMIT, LOG_LIMIT
from tvnjax.running.profiling import Measurements
from tvnjax.search.results import result_from_json

HUGE = 10**400
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([HUGE, -HUGE, 2**64, -1, 0, 1, 1e308, 0.5])
    | st.integers()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DEEP = "[" * 10**5 + "]" * 10**5


def dumped(value):
    """JSON with numbers of any length: Python's own limit is one of this process."""
    return json.dumps(value)


def fields(*names):
    """Objects that have some of these fields, with any values."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


@pytest.fixture(scope="module", autouse=True)
def _any_length():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


def one_line_or(function):
    """What a function returns; refusals are one line of bounded length, warnings likewise."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            return function()
        except InvalidInputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2500
            return None
        finally:
            assert all("\n" not in str(one.message) and len(str(one.message)) < 2500 for one in told)


@given(
    fields("pid", "host", "started", "device", "inode", "path").map(dumped).map(str.encode)
    | VALUES.map(dumped).map(str.encode)
    | st.binary(max_size=50)
)
@example(DEEP.encode())
@example(b'{"pid": 1' + b"0" * 400 + b"}")
@example(b'{"pid": -1, "host": "elsewhere"}')
@example(b'{"pid": 1.5, "host": "elsewhere"}')
@example(b'{"pid": true, "host": "elsewhere"}')
@example(b'{"pid": 4, "host": ["elsewhere"]}')
@example(b'{"pid": 4, "host": "else\\u001b[2Jwhere"}')
@example(b'{"pid": 4, "inode": [], "device": {}, "path": null}')
@example(b" " * 10**6 + b'{"pid": 4}')
def test_a_lock_that_holds_anything(content):
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / LOCK_FILE).write_bytes(content)
        run = one_line_or(lambda: RunDir(Path(name), resume=True))
        if run is not None:
            run.close()
            assert (Path(name) / LOCK_FILE).read_text() == ""


def test_a_lock_of_a_gibibyte_is_not_read_to_its_end(tmp_path):
    with (tmp_path / LOCK_FILE).open("wb") as file:
        file.truncate(2**40)
    RunDir(tmp_path, resume=True).close()


def test_a_lock_or_a_log_that_is_a_folder_is_refused_and_stays(tmp_path):
    for name in (LOCK_FILE, "events.jsonl"):
        run = tmp_path / name / "run"
        (run / name).mkdir(parents=True)
        with pytest.raises(InvalidInputError, match="is a folder in place of a file"):
            RunDir(run, resume=True)
        assert (run / name).is_dir()


EVENTS = fields("event", "seq", "after", "elapsed").map(dumped) | VALUES.map(dumped)


@given(st.lists(EVENTS, max_size=5))
@example([DEEP])
@example(['{"event": "step", "seq": ' + "9" * 400 + "}"])
@example(['{"event": "step", "seq": "7", "elapsed": [1]}', '{"event": "resumed", "after": {}}'])
@example(['{"event": "step", "seq": 1e308, "elapsed": 1e99}'])
@example(['{"event": "step", "seq": true, "elapsed": -5}'])
def test_a_log_that_holds_any_lines(lines):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        run = one_line_or(lambda: RunDir(Path(name), resume=True))
        assert run is not None
        assert 0 <= run.seq <= 2**53 and 0 <= run.elapsed < 4e9
        run.event("added")
        run.close()
        found, _ = read_lines(path)
        assert found[-1]["event"] == "added" and history(found)[-1] == found[-1]


ENTRIES = fields("n", "op", "key", "value", "seq")


@given(st.lists(ENTRIES | VALUES.filter(lambda value: isinstance(value, dict)), max_size=4))
@example([{"n": "0", "op": "a", "key": "b", "value": 1, "seq": 0}])
@example([{"n": 0, "op": "a", "key": "b", "value": 1, "seq": [0]}])
@example([{"n": -1, "op": "a", "key": "b", "value": 1, "seq": 0}])
@example([{"n": HUGE, "op": "a", "key": "b", "value": 1, "seq": 0}])
@example([{"n": True, "op": "a", "key": "b", "value": 1, "seq": 0}])
@example([{"n": 0, "op": ["a"], "key": "b", "value": 1, "seq": 0}])
@example([{"n": 0, "op": "a", "key": {}, "value": 1, "seq": 0}])
@example([{"n": 0, "op": "a", "key": "b", "seq": 0}])
def test_a_journal_that_holds_any_entries_with_their_digests(entries):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "journal.jsonl"
        journal = Journal(path)
        journal.add("train", "first", {"top1": 0.5})
        journal.close()
        sound = path.read_text()
        path.write_text(sound + "".join(dumped({**entry, "digest": digest_of(entry)}) + "\n" for entry in entries))
        found = one_line_or(lambda: Journal(path))
        assert found is not None
        if found.upcoming == "train":  # a sound entry may say that the run went on from before it
            assert found.recall("train", found.upcoming_key) is not None or found.last_seq >= 0
        assert all(isinstance(key, str) for key in found.recall_all())
        assert isinstance(found.last_seq, int)
        found.add("train", "next", 2)
        found.close()
        assert one_line_or(lambda: Journal(path)).recall_all()["next"] == 2


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"n": 1' + "0" * 400 + "}", '{"n": 0, "n": 1}', '{"n": NaN}', "[]", "3", '"n"'],
    ids=lambda text: text[:8],
)
def test_a_line_outside_the_bounds_is_counted(text, tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add("a", "b", 1)
    journal.close()
    path.write_text(path.read_text() + text + "\n")
    with pytest.warns(UserWarning, match="1 line torn or damaged"):
        assert Journal(path).recall_all() == {"b": 1}


def test_a_line_without_end_is_passed_over_in_bounded_memory(tmp_path):
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": 1}\n')
        file.seek(40 * LINE_LIMIT, 1)
        file.write(b'\n{"a": 2}\n' + b"x" * LINE_LIMIT)
    tracemalloc.start()
    try:
        assert read_lines(path) == ([{"a": 1}, {"a": 2}], 2)
        assert tracemalloc.get_traced_memory()[1] < 6 * LINE_LIMIT
    finally:
        tracemalloc.stop()
    with path.open("wb") as file:
        file.truncate(LOG_LIMIT + 1)
    with pytest.raises(InvalidInputError, match="at most"):
        read_lines(path)


@given(fields("digest", "seq", "result") | VALUES, st.booleans())
@example({"seq": [1], "digest": digest_of(3), "result": 3}, False)
@example({"seq": HUGE, "digest": digest_of(3), "result": 3}, False)
@example([3], True)
@example("digest", True)
def test_a_stage_whose_result_is_of_any_form(told, right):
    with tempfile.TemporaryDirectory() as name:
        run_path = Path(name)
        (run_path / "stages").mkdir()
        if right and isinstance(told, dict) and "result" in told:
            told = {**told, "digest": digest_of(told["result"])}
        (run_path / "stages" / "search.json").write_text(dumped(told))
        run = one_line_or(lambda: RunDir(run_path, resume=True))
        stage = one_line_or(lambda: Stage(Silent(), run, "search"))
        assert run is not None and stage is not None
        if stage.result is None:
            assert stage.finish({"found": 1}) == {"found": 1}
        stage.close()
        run.close()


@given(fields("step", "seq", "score", "state", "files"))
@example({"step": "3", "seq": 0, "score": None, "state": {}, "files": {}})
@example({"step": HUGE, "seq": 0, "score": None, "state": {}, "files": {}})
@example({"step": 3, "seq": 0, "score": "best", "state": {}, "files": {}})
@example({"step": 3, "seq": None, "score": 1, "state": {}, "files": {}})
@example({"step": 3, "seq": 0, "score": 1, "state": [], "files": {}})
@example({"step": 3, "seq": 0, "score": 1, "files": []})
def test_a_checkpoint_whose_description_is_of_any_form_with_its_digest(told):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "step-000000005").mkdir()
        (folder / "step-000000005.json").write_text(dumped({"digest": _digest(told), **told}))
        checkpoints = Checkpoints(folder, every_s=0)
        assert one_line_or(lambda: checkpoints.newest({"weights": np.zeros(3)})) is None
        one_line_or(lambda: checkpoints.forget_after(1))
        checkpoints.close()


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
@example({"a": {"measured": {"latency_ms": "fast"}, "seconds": 1.0}})
@example({"a": {"measured": [], "seconds": 1.0}})
@example({"a": 3})
def test_measurements_of_any_form(kept):
    with tempfile.TemporaryDirectory() as name:
        lines = Lines(Path(name) / "measurements.jsonl")
        for number, (key, value) in enumerate(kept.items()):
            entry = {"n": number, "op": "measured", "key": key, "value": value, "seq": 0}
            with warnings.catch_warnings():
                lines.add(entry | {"digest": digest_of(entry)})
        lines.close()
        one_line_or(lambda: Measurements(Path(name) / "measurements.jsonl"))


@given(fields("best", "candidates", "seconds", "name", "spent"))
@example({"best": None, "candidates": [3]})
@example({"best": {"evaluation": None}, "candidates": []})
@example({"best": None, "candidates": [{"evaluation": None, "genotype": {}, "verdict": {}}]})
def test_what_a_search_came_to_of_any_form(told):
    one_line_or(lambda: result_from_json(told))
