"""Numbers that no run can have, in every option and every file: taken as they are meant, or refused in one line."""

import json
import math
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.numeric_options import all_options, parse
from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.cli.numbers import fraction, whole_number
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import read_lines
from tvnjax.core.sizes import LARGEST, MOST_WHOLE, SMALLEST
from tvnjax.core.to_json import jsonable
from tvnjax.report.page import write_report
from tvnjax.report.quantities import count, mean_sd, millions, milliseconds
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.scaling import compound_scale
from tvnjax.trainers.optim import Optimizer
from tvnjax.zoo.paper_tables import paper_tables, read_published

HUGE = "1" + "0" * 400
REFUSED = (HUGE, "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "9" * 5000, "1e400", "2147483648e25", "")


@given(st.integers())
def test_whole_numbers_of_32_bits(value):
    if abs(value) <= MOST_WHOLE:
        assert whole_number(str(value)) == whole_number(f" {value} ") == value
    else:
        with pytest.raises(ValueError, match="at most 2,147,483,647"):
            whole_number(str(value))


@given(st.floats() | st.integers(-(10**320), 10**320))
def test_fractions_of_float32(value):
    number = float(value) if abs(value) < 10**308 or isinstance(value, float) else math.inf
    if number == 0 or SMALLEST <= abs(number) <= LARGEST:
        assert fraction(str(value)) == number and math.copysign(1, fraction("-0.0")) == 1
    else:
        with pytest.raises(ValueError, match="from 1e-30 to 1e"):
            fraction(str(value))


@pytest.mark.parametrize("text", ["1e3", "0x10", "١٢", "1.0", "", "--1", "1__0", "1,000", "9" * 100_000])
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError) as refused:
        whole_number(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("text", ["1e-400", "0.0000e-9", "x", "1e", "1 2", "0x1p3", "∞"])
def test_what_only_looks_like_zero_or_a_number(text):
    if text.startswith("0.0000"):
        assert fraction(text) == 0
        return
    with pytest.raises(ValueError):
        fraction(text)


OPTIONS = sorted(set(all_options()))


def test_every_option_refuses_what_cannot_be_in_one_line():
    """One of the values an option, by turns; nothing is run."""
    assert len(OPTIONS) > 400 and ("train", "--batch-size") in OPTIONS
    assert ("run planted", "--search.projection.top-k") in OPTIONS
    once = {(command.split()[0], option): command for command, option in OPTIONS if command != "profile quick"}
    for index, ((_, option), command) in enumerate(once.items()):
        _check_refused(command, option, REFUSED[index % len(REFUSED)])


@pytest.mark.slow
@pytest.mark.parametrize("value", [*REFUSED, "-1", "-0.0", "0", "2147483647", "1e30"])
def test_every_option_with_every_value(value):
    for command, option in OPTIONS:
        if value in REFUSED or (value == "-1" and option != "--compound"):
            _check_refused(command, option, value)
            continue
        try:
            parse(command, option, value)
        except InvalidInputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000


def _check_refused(command, option, value):
    with pytest.raises(InvalidInputError) as refused:
        parse(command, option, value)
    message = str(refused.value)
    assert "\n" not in message and len(message) < 500, (command, option, value)
    # A class refuses its own fields by their own names, without the way to it.
    name = option.removeprefix("--") if value in REFUSED else option.removeprefix("--").rpartition(".")[2]
    assert re.search(name.replace("-", "[-_]"), message), message


@pytest.mark.parametrize(
    ("argv", "rule"),
    [
        (["show", "tvn1", "--classes", "0"], "classes is from 1 to"),
        (["diff", "tvn1", "tvn2", "--classes", "-1"], "classes is from 1 to"),
        (["show", "tvn1", "--image-size", "1000000000"], "image_size is from 0 to 4,096"),
        (["scale", "tvn1", "--compound", "1e4"], "compound factor is from -40 to 40"),
        (["train", "tvn1", "--data", "x", "--batch-size", "1000000000000"], "at most 2,147,483,647"),
        (["train", "tvn1", "--data", "x", "--batch-size", "2147483647"], "batch_size is from 0 to 65,536"),
        (["train", "tvn1", "--data", "x", "--seed", "4294967296"], "at most 2,147,483,647"),
        (["train", "tvn1", "--data", "x", "--clip-norm", "0"], "clip_norm is above 0"),
        (["run", "quick", "--search.learning-rate", "-1"], "learning_rate is above 0"),
        (["run", "quick", "--search.penalty", "-1"], "penalty is 0 or above"),
        (["zoo", "--measure", "--repeats", "-5"], "repeats is from 0 to"),
        (["manifest", "ucf101", "x", "--videos", "y", "--fold", "-1"], "fold is from 0 to"),
    ],
)
def test_what_was_taken_before(argv, rule, capsys):
    """The first gave networks of no classes or fewer, with counts; 2^32 was the seed 0 again."""
    assert main(argv) == 2
    assert rule in capsys.readouterr().err


def test_from_python_too():
    for wrong in ({"weight_decay": -1.0}, {"clip_norm": 0.0}, {"clip_norm": math.nan}):
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            Optimizer(**wrong)
    for wrong in ({"learning_rate": 0.0}, {"arch_distance": -1.0}, {"multiplier_rate": math.nan}):
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            DifferentiableConfig(**wrong)
    genotype = Genotype(image_size=32, num_frames=1, blocks=(Block(),))
    assert compound_scale(genotype, -40).image_size == 32
    with pytest.raises(InvalidInputError, match="compound factor"):
        compound_scale(genotype, math.nan)


def test_json_is_written_as_it_can_be_read():
    values = [1e308, 1e-320, -1e-320, 1e100, 1e-100, 0.0, math.nan, -math.inf, 1.5, 10**20]
    assert jsonable(values) == [None, 0.0, 0.0, 1e100, 1e-100, 0.0, None, None, 1.5, 10**20]


def test_a_log_passes_over_what_has_no_bounds(tmp_path):
    path = tmp_path / "events.jsonl"
    bad = [f'{{"a": {HUGE}}}', '{"a": 1e999}', "[" * 100_000, '{"a": 1, "a": 2}', '{"a"', "3", '{"a": "\\ud800"}']
    path.write_text("\n".join(['{"a": 1}', *bad]) + "\n")
    assert read_lines(path) == ([{"a": 1}, {"a": "\ud800"}], 6)


@pytest.mark.parametrize("cell", ["1e308", "1e-320", HUGE, "nan", "inf", "-1", "1e400"])
def test_a_published_figure(tmp_path, cell):
    path = tmp_path / "figures.csv"
    path.write_text(f"table,network,cpu_ms\nfound,tvn1,{cell}\n")
    with pytest.raises(InvalidInputError, match="cpu_ms is a number above 0"):
        read_published(path, paper_tables())


ODD = [1e99, 10**99, 1e-99, 0, -1, 10**400, True, None, "1", [], {}, [1e99], [{}] * 300, {"x": 1}, "\x1b[31m", 2**63]


@pytest.mark.parametrize("seed", range(3))
def test_a_report_of_a_log_full_of_odd_numbers(tmp_path, seed, monkeypatch):
    """Each number of some events replaced by what stands at its place in a list of oddities."""
    monkeypatch.setattr("tvnjax.report.figures.canvas.PNG_DPI", 12)
    run = make_run(tmp_path, strategies=("differentiable",), candidates=8, blocks=1)
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    turn = seed

    def odd(value):
        nonlocal turn
        if isinstance(value, dict):
            return {key: odd(item) for key, item in value.items()}
        if isinstance(value, list):
            return [odd(item) for item in value]
        turn += 1
        return value if isinstance(value, str) or turn % 11 else ODD[turn // 11 % len(ODD)]

    (run / "events.jsonl").write_text("".join(json.dumps(odd(line)) + "\n" for line in lines))
    results = json.loads((run / "results.json").read_text())
    results["strategies"][0] |= {"latency_ms": 1e99, "macs": 10**99, "seconds": 1e-99, "params": 0}
    results["data"] |= {"majority_share": 10**99, "widened": 1e99, "skipped": ODD, "splits": {"train": 10**99}}
    (run / "results.json").write_text(json.dumps(results))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        write_report(run)
    page = (run / "report.html").read_text()
    assert "1e+99" in page and "0,000,000,000,000,000,000" not in page


def test_numbers_without_end_are_written_short():
    assert count(1e99) == "1e+99" and milliseconds(1e15) == "1e+15" and millions(10**99) == "1e+93"
    assert mean_sd([1e99, 3e99], milliseconds) == "2e+99\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}1.41e+99"
    assert milliseconds(999_999_999.0) == "999,999,999" and count(1e14) == "100,000,000,000,000"
