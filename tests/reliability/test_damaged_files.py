"""Damaged files for every reader, drawn from a seed (``experiments.reliability.fuzz`` is the long form)."""

import collections

import pytest

from experiments.reliability.fuzz import SHARES, reader_class, run_case

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
