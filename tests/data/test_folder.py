"""Folders of class folders, and how each other layout is named."""

import os
from pathlib import Path

import pytest

from tvnjax.data.folder import read_folder


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_class_folders(tmp_path):
    touch(tmp_path, "dog/2.avi", "dog/1 é.MP4", "cat/x.mkv", "cat/no_suffix", "empty/.keep")
    found = [(span.path, span.label, span.split) for span in read_folder(tmp_path)]
    assert found == [
        ("cat/no_suffix", "cat", ""),
        ("cat/x.mkv", "cat", ""),
        ("dog/1 é.MP4", "dog", ""),
        ("dog/2.avi", "dog", ""),
    ]


def test_split_folders(tmp_path):
    touch(tmp_path, "train/cat/a.mp4", "train/dog/b.mp4", "validation/cat/c.mp4", "test/dog/d.mp4", "README.md")
    found = [(span.path, span.label, span.split) for span in read_folder(tmp_path)]
    assert found == [
        ("test/dog/d.mp4", "dog", "test"),
        ("train/cat/a.mp4", "cat", "train"),
        ("train/dog/b.mp4", "dog", "train"),
        ("validation/cat/c.mp4", "cat", "val"),
    ]


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "train/a.mp4", "bus/b.mp4", "ship/c.mp4")
    assert {span.label for span in read_folder(tmp_path)} == {"bus", "ship", "train"}


def test_what_is_no_video_is_ignored(tmp_path):
    touch(tmp_path, "cat/a.mp4", "cat/notes.txt", "cat/labels.CSV", "cat/still.jpg", "cat/.a.mp4", "cat/a.tar.gz")
    touch(tmp_path, "__MACOSX/cat/b.mp4", ".git/x", "LICENSE", "classes.yaml")
    assert [span.path for span in read_folder(tmp_path)] == ["cat/a.mp4"]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["cat/a.txt"], ["none in such places"]),
        (["a.mp4", "cat/b.mp4"], ["a.mp4'", "lies in none"]),
        (["trian/cat/a.mp4", "test/cat/b.mp4"], ["no folders", "'cat'"]),
        (["train/cat/a.mp4", "tset/cat/b.mp4"], ["'tset'", "did you mean 'test'"]),
        (["train/cat/deeper/a.mp4"], ["'deeper'"]),
    ],
)
def test_other_layouts_are_refused(paths, words, tmp_path, refused):
    refused(lambda: read_folder(touch(tmp_path, *paths)), *words)


def test_missing_folders_and_links_out_of_them(tmp_path, refused):
    refused(lambda: read_folder(tmp_path / "none"), "none'", "does not exist", "--data.folder")
    touch(tmp_path, "out.mp4", "data/cat/a.mp4")
    refused(lambda: read_folder(tmp_path / "out.mp4"), "is a file", "--data.manifest")
    os.symlink(tmp_path / "out.mp4", tmp_path / "data" / "cat" / "b.mp4")
    refused(lambda: read_folder(tmp_path / "data"), "cat/b.mp4", "leaves")
