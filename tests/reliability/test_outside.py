"""Text and JSON from outside: what is sound comes back as it was, what is not is refused at once, in one line."""

import json
import math
import os
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import read_json
from tvnjax.core.untrusted import (
    JSON_LIMIT,
    LARGEST,
    LINE_LIMIT,
    MAX_DEPTH,
    NotJsonError,
    in_range,
    parse_json,
    read_lines,
    read_text,
)
from tvnjax.data.manifest import read_manifest
from tvnjax.latency.table import LatencyTable
from tvnjax.report.record import read_run
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.registry import genotype_from_text, read_genotype
from tvnjax.spaces.tvn.genotype import Genotype, genotype_from_json

NUMBERS = st.integers(1 - 10**100, 10**100 - 1) | st.floats(-LARGEST, LARGEST).filter(in_range)
TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
GIB = 2**30


@given(VALUES)
def test_json_comes_back_as_it_was(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=1)) == value


@given(st.text() | st.text('[]{}",:0123456789.eE+-truefalsnl \\u', max_size=60))
@example("[" * 10**5)
@example('{"a":' * 10**5)
@example("9" * 10**5)
@example("1e" + "9" * 10**5)
def test_any_text_is_json_or_refused(text):
    try:
        value = parse_json(text)
    except NotJsonError as error:
        assert len(str(error)) < 300 and "\n" not in str(error)
    else:
        assert value == json.loads(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a": 1, "a": 2}', "names 'a' twice"),
        ('[{"b": {"c": 0, "c": 0}}]', "names 'c' twice"),
        ("NaN", "'NaN|NaN is not finite"),
        ("[-Infinity]", "not finite"),
        ("1e999", "1e999 is not finite"),
        ("[1e308]", r"1e308 is not within 1e-100 and 1e\+100"),
        ("-1e-320", "-1e-320 is not within"),
        ("9" * 5000, "5000 digits, more than 100"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
        ('{"a":' * 10**6 + "1" + "}" * 10**6, f"nested more than {MAX_DEPTH} deep"),
        ('[1,\n"a', "line 2"),
        ("", "line 1"),
    ],
)
def test_what_is_refused_is_named(text, rule):
    with pytest.raises(NotJsonError, match=rule):
        parse_json(text)


def test_depth_up_to_the_bound_and_numbers_that_become_null():
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(deep)) == deep
    assert parse_json("[NaN, 1e999, -Infinity, 1.5, 1e-400]", not_finite="null") == [None, None, None, 1.5, 0.0]
    assert math.copysign(1, parse_json("-0.0")) == -1


class Stand:
    description = {"runtime": "stand-in", "runtime_version": "1", "threads": 1}  # noqa: RUF012


def test_a_file_of_a_gibibyte_is_refused_before_it_is_read(tmp_path):
    """Sparse files, which take no room on disk; reading one would take seconds and its size in memory."""
    huge = tmp_path / "results.json"
    huge.touch()
    os.truncate(huge, GIB)
    readers = [read_genotype, read_json, read_table, read_manifest, lambda path: read_run(path.parent)]
    for read in readers:
        start = time.process_time()
        with pytest.raises(InvalidInputError, match="at most"):
            read(huge)
        assert time.process_time() - start < 1
    with pytest.warns(UserWarning, match=r"damaged .*at most"):
        assert LatencyTable(huge, Stand()).entries == {}


def test_lines_and_logs_have_bounds(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n\n" + b" " * 10 + b"\n[1]\n" + b"x" * (LINE_LIMIT + 1))
    lines = read_lines(path, "a log")
    assert [next(lines), next(lines)] == [(1, b"{}\n"), (4, b"[1]\n")]
    with pytest.raises(InvalidInputError, match="line 5"):
        next(lines)


def test_what_never_ends_is_no_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(InvalidInputError, match="there is no"):
            read_text(path, "a genotype")
    with pytest.raises(InvalidInputError, match="there is no /dev/zero"):
        read_genotype(pipe.__class__("/dev/zero"))


def test_text_is_utf8_and_within_its_limit(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a" * 10)
    assert read_text(path, "it", limit=10) == "a" * 10
    with pytest.raises(InvalidInputError, match=r"at most 9 bytes; .* has 10"):
        read_text(path, "it", limit=9)
    path.write_bytes(b"ab\xff")
    with pytest.raises(InvalidInputError, match=r"UTF-8; .* at byte 2"):
        read_text(path, "it")
    assert JSON_LIMIT < GIB / 32


@given(
    VALUES | st.dictionaries(st.sampled_from(["image_size", "num_frames", "frame_stride", "blocks", "name"]), VALUES)
)
def test_any_value_is_a_genotype_or_refused(value):
    try:
        genotype = genotype_from_json(value)
    except InvalidInputError as error:
        assert len(str(error)) < 1000 and "\n" not in str(error)
    else:
        assert isinstance(genotype, Genotype)


def _genes():
    pick = st.sampled_from
    small, kind, act = st.integers(1, 8), pick(["std", "1std", "depth", "maxpool", "avgpool"]), pick(["relu", "hswish"])
    genes = dict.fromkeys(("spatial_kernel", "spatial_stride", "temporal_kernel", "temporal_stride", "repeats"), small)
    genes |= dict.fromkeys(("spatial_act", "temporal_act", "act"), act)
    genes |= {name: st.booleans() for name in ("context_gate", "skip", "inverted_bottleneck")}
    genes |= {
        "spatial_type": kind,
        "temporal_type": pick(["1d", "maxpool", "avgpool"]),
        "filters": st.integers(1, 2048),
    }
    genes |= {
        "expand": st.integers(0, 8),
        "squeeze": st.floats(0, 0.99).filter(in_range),
        "non_local": st.just(0) | st.integers(4, 1024),
    }
    return st.fixed_dictionaries({}, optional=genes)


@given(st.integers(1, 1024), st.integers(1, 64), st.integers(1, 64), st.lists(_genes(), min_size=1, max_size=8))
def test_every_genotype_within_its_ranges_is_read_and_written_back(size, frames, stride, blocks):
    told = {"image_size": size, "num_frames": frames, "frame_stride": stride, "blocks": blocks}
    genotype = genotype_from_text(json.dumps(told))
    again = genotype.to_json()
    assert genotype_from_text(json.dumps(again)) == genotype
    assert {**again, "blocks": blocks} == told
    assert all(again["blocks"][i][gene] == value for i, block in enumerate(blocks) for gene, value in block.items())


def test_a_switch_is_no_fraction():
    block = {"image_size": 8, "num_frames": 1, "blocks": [{"skip": 1.0}]}
    with pytest.raises(InvalidInputError, match=r"skip is true or false; got 1\.0"):
        genotype_from_json(block)
