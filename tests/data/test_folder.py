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
    found = [(span.path, span.label, span.split) for span in read_folder(tmp_path).spans]
    assert found == [
        ("cat/no_suffix", "cat", ""),
        ("cat/x.mkv", "cat", ""),
        ("dog/1 é.MP4", "dog", ""),
        ("dog/2.avi", "dog", ""),
    ]


def test_split_folders(tmp_path):
    touch(tmp_path, "train/cat/a.mp4", "train/dog/b.mp4", "validation/cat/c.mp4", "test/dog/d.mp4", "README.md")
    assert read_folder(tmp_path).notes == ("files that are no video, by their suffix: 1 (1 .md)",)
    found = [(span.path, span.label, span.split) for span in read_folder(tmp_path).spans]
    assert found == [
        ("test/dog/d.mp4", "dog", "test"),
        ("train/cat/a.mp4", "cat", "train"),
        ("train/dog/b.mp4", "dog", "train"),
        ("validation/cat/c.mp4", "cat", "val"),
    ]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Train", "Val", "TEST"), ("training", "Validation", "testing"), ("TRAIN", "dev", "Test")],
)
def test_split_folders_have_several_names(train, val, test, tmp_path):
    """Beside ``train`` a folder ``Test`` was refused, and without a ``train`` it became a class of folders."""
    touch(tmp_path, *(f"{split}/{label}/a.mp4" for split in (train, val, test) for label in ("cat", "dog")))
    found = {(span.split, span.label, span.path) for span in read_folder(tmp_path).spans}
    names = {"train": train, "val": val, "test": test}
    assert found == {(split, c, f"{names[split]}/{c}/a.mp4") for split in names for c in ("cat", "dog")}


def test_a_folder_of_test_clips_alone(tmp_path):
    spans = read_folder(touch(tmp_path, "test/cat/a.mp4", "test/dog/b.mp4")).spans
    assert [(span.label, span.split) for span in spans] == [("cat", "test"), ("dog", "test")]


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["cat/0001.jpg", "dog/0001.jpg"], "cat"),
        (["cat/clip1/0001.png", "dog/clip2/0001.png"], "cat/clip1"),
        (["cat/clip1/0001.jpg", "cat/b.mp4"], "cat/clip1"),
        (["train/cat/0001.JPEG", "test/cat/0001.JPEG"], "test/cat"),
        (["train/cat/clip/0001.jpg", "test/cat/clip/0001.jpg"], "test/cat/clip"),
        (["cat/clip/frames/0001.ppm"], "cat/clip/frames"),
        (["0001.jpg", "0002.jpg"], "."),
        (["train/0001.jpg", "test/0002.jpg"], "test"),
    ],
)
def test_pictures_are_no_clips_and_the_hint_says_what_to_do(paths, folder, tmp_path, refused):
    words = [f"folder {str(tmp_path / folder)!r} holds pictures", "make a video of each", "ffmpeg -framerate"]
    message = refused(lambda: read_folder(touch(tmp_path, *paths)), *words)
    assert f"%04d{Path(paths[0]).suffix.lower()}" in message and "rename or move it" not in message


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "train/a.mp4", "bus/b.mp4", "ship/c.mp4")
    listing = read_folder(tmp_path)
    assert {span.label for span in listing.spans} == {"bus", "ship", "train"}
    assert listing.notes == ("class folders with the name of a split: 1 (first 'train')",)


def test_what_is_no_video_is_ignored(tmp_path):
    touch(tmp_path, "cat/a.mp4", "cat/notes.txt", "cat/labels.CSV", "cat/still.jpg", "cat/.a.mp4", "cat/a.tar.gz")
    touch(tmp_path, "__MACOSX/cat/b.mp4", ".git/x", "LICENSE", "classes.yaml")
    touch(tmp_path, "cat/scan.PPM", "cat/more.jpg", "dog/b.mp4", "bird/.keep", "emu/list.txt")
    listing = read_folder(tmp_path)
    assert [span.path for span in listing.spans] == ["cat/a.mp4", "dog/b.mp4"]
    assert listing.notes == (
        "files that are no video, by their suffix: 8 (2 .jpg, 2 .txt, 1 .csv, 1 .gz, 1 .ppm, 1 .yaml)",
        "files outside of class folders: 1 (first 'LICENSE')",
        "hidden files and folders: 4 (first '.git')",
        "class folders without a video: 2 (first 'bird')",
    )


def test_nothing_is_said_of_a_plain_folder(tmp_path):
    assert read_folder(touch(tmp_path, "cat/a.mp4", "dog/b.mp4")).notes == ()


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["cat/a.txt"], ["none in such places"]),
        (["a.mp4", "cat/b.mp4"], ["a.mp4'", "lies in none"]),
        (["trian/cat/a.mp4", "test/cat/b.mp4"], ["'trian'", "did you mean 'train'"]),
        (["trian/cat/a.mp4", "tset/cat/b.mp4"], ["no folders", "'cat'"]),
        (["train/cat/a.mp4", "tset/cat/b.mp4"], ["'tset'", "did you mean 'test'"]),
        (["train/cat/deeper/a.mp4"], ["'deeper'", "rename or move"]),
        # Videos of splits, without classes: "train" and "test" are no classes.
        (["train/a.mp4", "test/b.mp4"], ["'test' and 'train'", "test/CLASS/video", "manifest"]),
        (["Train/a.mp4", "VALIDATION/b.avi", "cat/c.mp4"], ["'Train' and 'VALIDATION'", "without one"]),
        (["training/a.mp4"], ["'training'", "holds videos"]),
        (["dev/a.mp4", "Testing/b.mp4"], ["'Testing' and 'dev'"]),
        (["train/cat/a.mp4", "test/b.mp4"], ["test/b.mp4'", "lies in none"]),
        (["train/cat/a.mp4", "b.mp4"], ["b.mp4'", "lies in none"]),
        (["Train/cat/a.mp4", "bus/b.mp4"], ["'bus'", "only val and test"]),
        (["train/cat/a.mp4", "Training/cat/b.mp4"], ["'Training' and 'train'", "one folder"]),
        (["train/cat/a.mp4", "val/cat/b.mp4", "valid/cat/c.mp4"], ["'val' and 'valid'", "one folder"]),
    ],
)
def test_other_layouts_are_refused(paths, words, tmp_path, refused):
    refused(lambda: read_folder(touch(tmp_path, *paths)), *words)


def test_missing_folders_and_links_out_of_them(tmp_path, refused):
    refused(lambda: read_folder(tmp_path / "none"), "none'", "does not exist", "check the path")
    touch(tmp_path, "out.mp4", "data/cat/a.mp4")
    refused(lambda: read_folder(tmp_path / "out.mp4"), "is a file", "a CSV file is a manifest")
    os.symlink(tmp_path / "out.mp4", tmp_path / "data" / "cat" / "b.mp4")
    refused(lambda: read_folder(tmp_path / "data"), "cat/b.mp4", "leaves")
