"""Checkpoints: the newest good one is gone on with, and no bad one pushes it out."""

import shutil
import warnings

import numpy as np
import pytest

from tvnjax.core import checkpoints as module
from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.run_dir import read_json


def tree(value):
    weights = np.full((64, 3), value, np.float32)
    return {"weights": weights, "none": np.zeros(0, np.float32), "step": np.array(np.nan_to_num(value), np.int32)}


def written(folder, steps, **options):
    checkpoints = Checkpoints(folder, every_s=0, **options)
    for step in steps:
        checkpoints.offer(step, tree(step), {"rng": 2**100 + step, "history": [1 / 3] * step})
        checkpoints.flush()
    return checkpoints


def steps(folder):
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob("step-*.json"))


def test_the_newest_comes_back_with_all_it_was_given(tmp_path):
    written(tmp_path, range(1, 7)).close()
    assert steps(tmp_path) == [4, 5, 6], "three are kept"
    found = Checkpoints(tmp_path).newest(tree(0))
    assert found.step == 6 and found.state == {"rng": 2**100 + 6, "history": [1 / 3] * 6}
    for name, leaf in tree(6).items():
        np.testing.assert_array_equal(found.tree[name], leaf)
    assert Checkpoints(tmp_path / "nothing").newest(tree(0)) is None


def test_the_best_stays_besides_the_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_s=0, keep=2)
    for step, score in enumerate([0.1, 0.9, 0.3, 0.2, 0.4], start=1):
        checkpoints.offer(step, tree(step), {}, score=score)
        checkpoints.flush()
    assert steps(tmp_path) == [2, 4, 5]


def flip_a_bit(path):
    victim = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))


def truncate(path):
    victim = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-7])


def change_the_description(path):
    file = path.with_suffix(".json")
    file.write_text(file.read_text().replace('"step": 3', '"step": 4'))


def tear_the_description(path):
    file = path.with_suffix(".json")
    file.write_text(file.read_text()[:40])


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, truncate, shutil.rmtree, change_the_description, tear_the_description],
    ids=lambda function: function.__name__,
)
def test_a_damaged_one_is_told_of_and_the_one_before_is_taken(damage, tmp_path):
    written(tmp_path, [1, 2, 3]).close()
    damage(tmp_path / "step-000000003")
    checkpoints = Checkpoints(tmp_path, every_s=0)
    with pytest.warns(UserWarning, match="step-000000003 is damaged"):
        found = checkpoints.newest(tree(0))
    assert found.step == 2 and found.tree["weights"][0, 0] == 2
    # The step is written again beside what is damaged.
    checkpoints.offer(3, tree(3), {})
    checkpoints.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoints(tmp_path).newest(tree(0)).step == 3


def test_a_full_disk_leaves_the_last_good_one_and_the_work_goes_on(tmp_path, monkeypatch):
    checkpoints = written(tmp_path, [1, 2])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomic", full)
        checkpoints.offer(3, tree(3), {})
        with pytest.warns(UserWarning, match=r"no checkpoint at step 3 \(No space left.*step-000000002"):
            checkpoints.flush()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    checkpoints.offer(4, tree(4), {})
    checkpoints.flush()
    assert steps(tmp_path) == [1, 2, 4], "there is room again"


def test_numbers_that_are_not_finite_are_not_kept(tmp_path):
    checkpoints = written(tmp_path, [1])
    checkpoints.offer(2, tree(np.nan), {})
    with pytest.warns(UserWarning, match="not finite"):
        checkpoints.flush()
    assert steps(tmp_path) == [1]


def test_a_step_that_is_reached_again_replaces_what_led_nowhere(tmp_path, monkeypatch):
    checkpoints = written(tmp_path, [1, 2, 3])
    checkpoints.forget_after(2)
    assert steps(tmp_path) == [1, 2]
    checkpoints.remember(1, tree(1), {})
    checkpoints.flush()
    checkpoints.offer(2, tree(7), {})
    checkpoints.flush()
    found = Checkpoints(tmp_path).newest(tree(0))
    assert found.step == 2 and found.tree["weights"][0, 0] == 7


def test_offers_are_written_when_due_and_the_last_when_asked(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_s=3600)
    for step in range(1, 5):
        checkpoints.offer(step, tree(step), {})
    assert steps(tmp_path) == []
    checkpoints.flush()
    assert steps(tmp_path) == [4] and read_json(tmp_path / "step-000000004.json")["step"] == 4
