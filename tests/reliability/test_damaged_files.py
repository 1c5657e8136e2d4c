"""Damaged files for every reader, drawn from a seed (``experiments.reliability.fuzz`` is the long form)."""

import collections
import random

import pytest

from experiments.reliability.fuzz import SHARES, fuzz, reader_class, run_case

CASES = {
    "GenotypeFile": 250,
    "RunFiles": 50,
    "Tables": 50,
    "LatencyTables": 50,
    "TrainedNetworks": 150,
    "Manifests": 120,
    "Folders": 40,
    "Videos": 120,
    "RecordedRuns": 12,
    "Checkpoints": 16,
    "Places": 16,
    "Journals": 60,
    "Hmdb51": 40,
    "Ucf101": 40,
    "Kinetics": 40,
    "SomethingSomething": 40,
    "Jester": 40,
    "Moments": 40,
}


@pytest.mark.parametrize("name", CASES)
def test_only_documented_errors_come_out(name, tmp_path, capfd):
    reader = reader_class(name)(tmp_path)
    outcomes = collections.Counter(run_case(reader, 0, index) for index in range(CASES[name]))
    assert not [outcome for outcome in outcomes if outcome.split()[0].isupper()], outcomes
    assert outcomes["accepted"] and len(outcomes) > 1, outcomes  # some were sound, and some were refused
    if name != "Checkpoints":  # Orbax logs what it met
        assert "Traceback" not in capfd.readouterr().err


def test_every_reader_has_a_quick_form():
    assert set(SHARES) - set(CASES) == {"Reports"}  # a report takes seconds; its own tests damage it by hand
    assert sum(SHARES.values()) == pytest.approx(1)


def test_what_goes_wrong_is_told_apart(tmp_path):
    """Without a process: undocumented errors, wrong values, messages without end."""
    reader = reader_class("Planted")(tmp_path)
    outcomes = {run_case(reader, 0, index) for index in range(60) if _drawn(index) in (0, 1, 2, 6)}
    assert {outcome.split(" in ")[0] for outcome in outcomes} == {
        "accepted",
        "InvalidInputError",
        "CRASH KeyError",
        "GARBAGE a wrong number",
    }


@pytest.mark.slow
def test_hangs_deaths_and_hunger_are_counted():
    """Every case of a reader that does all of it, in processes that are replaced."""
    cases = 25
    told = fuzz("Planted", 0, 0, cases, 2 * 1024**3)
    drawn = collections.Counter(_drawn(index) for index in range(cases))
    outcomes = collections.Counter({kind.split(" in ")[0]: 0 for kind in told["outcomes"]})
    for kind, count in told["outcomes"].items():
        outcomes[kind.split(" in ")[0]] += count
    assert sum(outcomes.values()) == cases
    assert (outcomes["HANG"], outcomes["MEMORY"]) == (drawn[3], drawn[4]) and drawn[3] and drawn[4]
    assert (outcomes["CRASH KeyError"], outcomes["GARBAGE a wrong number"]) == (drawn[1], drawn[2])
    assert 1 <= outcomes["DIED with 7"] <= drawn[5] and outcomes["InvalidInputError"] == drawn[0]
    assert len(told["findings"]) == cases - outcomes["InvalidInputError"] - outcomes["accepted"]


def _drawn(index):
    return random.Random(f"0:planted:{index}").randrange(7)
