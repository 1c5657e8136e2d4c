"""Folders that checkpoints are written in: what is let through can be read back, what Orbax gets wrong is refused."""

import json
import os
import shutil

import numpy as np
import pytest

from tvnjax.core.checkpoint import load_tree, save_tree
from tvnjax.core.environment import cache_dir
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import RunDir
from tvnjax.core.untrusted import require_portable
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.zoo.resolve import find_network

TREE = {"a": np.arange(3.0)}
REFUSED = [("x\\y", "a backslash"), ("[red]", r"\["), ("a**b", r"\*\*"), (os.fsdecode(b"\xff"), "no UTF-8")]


@pytest.mark.parametrize(
    "name",
    [
        *("a b", "a*b", "a?b", "a]b", "{a,b}", "$HOME", "~", "gs:x", "a%41", "#", "a|b", "'\"", "é日", "\U0001f642"),
        *("\x1bx", "a\nb", "\u202e", "-x", ".x", "s3", "x" * 180),
    ],
)
def test_what_is_let_through_comes_back(name, tmp_path):
    folder = require_portable(tmp_path / name, "a folder")
    save_tree(folder / "weights", TREE)
    assert (load_tree(folder / "weights", {"a": np.zeros(3)})["a"] == TREE["a"]).all()
    assert os.listdir(tmp_path) == [name] and os.listdir(folder) == ["weights"]


@pytest.mark.parametrize(("name", "reason"), REFUSED)
@pytest.mark.parametrize("below", ["", "run"])
def test_what_orbax_gets_wrong_is_refused_before_anything_is_made(name, reason, below, tmp_path, monkeypatch):
    with pytest.raises(InvalidInputError, match=f"a run's directory is a path that Orbax takes; .*{reason}"):
        RunDir(tmp_path / name / below)
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path / name / below))
    with pytest.raises(InvalidInputError, match=rf"TVNJAX_CACHE.*{reason}"):
        cache_dir()
    assert not os.listdir(tmp_path)


def test_checkpoints_are_read_where_they_could_not_be_written(tmp_path):
    save_tree(tmp_path / "weights", TREE)
    for name, _ in REFUSED:
        shutil.copytree(tmp_path / "weights", tmp_path / name / "weights")
        if "[" in name or "**" in name:
            assert (load_tree(tmp_path / name / "weights", {"a": np.zeros(3)})["a"] == TREE["a"]).all()
        else:
            with pytest.raises(InvalidInputError, match="a checkpoint is a path that Orbax takes"):
                load_tree(tmp_path / name / "weights", {"a": np.zeros(3)})


def test_a_networks_name_is_one_of_folders(tmp_path):
    genotype = Genotype(image_size=16, num_frames=1, blocks=(Block(),))
    for name in ("net[red]", "a\\b**", os.fsdecode(b"\xff\x1b"), "x" * 200):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(genotype.to_json()))
        entry = find_network(str(path))
        require_portable(tmp_path / entry.name, "it")
        assert len(entry.name) <= 120
