"""From what the input names to what is built: names of files, labels, classes, and the splits that must have clips."""

import os
import unicodedata

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.manifest import LabelledSpan, Listing
from tvnjax.data.naming import check_labels
from tvnjax.data.planted import PlantedData
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.settled import settle
from tvnjax.data.video_folder import VideoData

ASKED = {"num_frames": 2, "frame_stride": 1, "image_size": 16}


def settled(root, *rows, **asked):
    spans = [LabelledSpan(path=path, label=label, split=split) for path, label, split in rows]
    fractions = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0}
    return settle(root, Listing(spans=spans, notes=("said before",)), **fractions | asked)


def sound(*more):
    """Rows of two classes in three splits."""
    return [*((f"{split}{c}.mp4", c, split) for split in ("train", "val", "test") for c in "xy"), *more]


def test_sound_rows_stay_as_they_are(tmp_path):
    found = settled(tmp_path, *sound())
    assert [(span.path, span.label, span.split) for span in found.spans] == sound()
    assert found.class_names == ("x", "y") and found.notes == ("said before",)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_two_names_is_one_file(link, tmp_path, refused):
    (tmp_path / "a.mp4").write_bytes(b"1")
    link(tmp_path / "a.mp4", tmp_path / "b.mp4")
    rows = sound(("a.mp4", "x", "train"))
    refused(lambda: settled(tmp_path, *rows, ("b.mp4", "x", "test")), "'a.mp4' is in train and in test")
    refused(lambda: settled(tmp_path, *rows, ("b.mp4", "y", "train")), "'a.mp4' is 'x' in train and 'y' in train")
    found = settled(tmp_path, *rows, ("b.mp4", "x", "train"))
    assert [span.path for span in found.spans[-2:]] == ["a.mp4", "a.mp4"]
    assert found.notes[1:] == (
        "other names of a file that has one already: 1 (first 'b.mp4' of 'a.mp4')",
        "rows that repeat an earlier one: 1 (first 'a.mp4'); each counts as a clip of its own",
    )


def test_a_folder_that_is_linked_is_one_folder(tmp_path, refused):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"1")
    os.symlink("v", tmp_path / "w")
    refused(lambda: settled(tmp_path, *sound(("w/a.mp4", "x", "val"), ("v/a.mp4", "x", "train"))), "'v/a.mp4' is in")


def test_spellings_of_one_path_are_one_file(write_manifest, refused):
    rows = [",".join(row) for row in sound()]
    manifest = write_manifest("path,label,split", *rows, "a//b.mp4,x,train", "./a/./b.mp4,x,test")
    refused(lambda: VideoData(manifest=manifest).recipe(**ASKED), "'a/b.mp4' is in train and in test")


def test_links_do_not_put_a_video_on_both_sides_where_splits_are_assigned_here(tmp_path):
    """Each video has a second name, and would have had a second chance to be a test video."""
    rows = []
    for i in range(40):
        (tmp_path / f"{i}.mp4").write_bytes(b"%d" % i)
        os.symlink(f"{i}.mp4", tmp_path / f"link{i}.mp4")
        rows += [(name, "xy"[i % 2], "") for name in (f"{i}.mp4", f"link{i}.mp4")]
    found = settled(tmp_path, *rows)
    sides = {(os.path.realpath(tmp_path / path), span.split) for (path, _, _), span in zip(rows, found.spans)}
    assert len(sides) == 40 and {split for _, split in sides} == {"train", "val", "test"}


def test_files_of_equal_size_and_time_are_two_files(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, ns=(0, 0))
    assert settled(tmp_path, *sound(("a.mp4", "x", "train"), ("b.mp4", "x", "test"))).notes == ("said before",)


def test_folders_and_pictures_in_a_manifest(tmp_path, refused):
    for clip in ("p1", "p2"):
        (tmp_path / clip).mkdir()
        (tmp_path / clip / "0001.jpg").touch()
    words = ["all 2 are folders", "'p1'", "holds pictures ('0001.jpg')", "ffmpeg"]
    refused(lambda: settled(tmp_path, ("p1", "x", "train"), ("p2", "y", "test")), *words)
    words = ["all 2 are pictures", "'p1/0001.jpg'", "ffmpeg"]
    refused(lambda: settled(tmp_path, ("p1/0001.jpg", "x", "train"), ("p2/0001.jpg", "y", "test")), *words)
    found = settled(tmp_path, *sound(("p1", "x", "train"), ("p2/0001.jpg", "y", "test")))
    folders, pictures = found.notes[1:]
    assert folders.startswith("paths of folders, not videos: 1 (first 'p1'); a clip is a video file")
    assert pictures.startswith("paths of pictures, not videos: 1 (first 'p2/0001.jpg'); a clip")


def test_labels_that_look_alike(refused):
    assert check_labels(["cat", "dog", "cat"]) == check_labels(["-1", "1", "1 1", "11"]) == []
    assert check_labels(["Cat", "cat", "dog", "push up", "push_up", "Push-Up"]) == [
        "labels that differ only in case, spaces, '_' or '-', and stay different classes: 5 (first 'Cat', 'cat')"
    ]
    assert len(check_labels(["cat", "cat "])) == len(check_labels(["a b", "a  b"])) == 1
    one, other = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    refused(lambda: check_labels([one, other]), r"'caf\xe9'", r"'cafe\u0301'", "two Unicode forms")
    assert check_labels([other, "cafe"]) == []


def test_classes_that_a_split_lacks_are_said(tmp_path):
    rows = [*sound(), ("z1.mp4", "z", "train"), ("z2.mp4", "z", "val")]
    what = "classes, of 3, without a clip in the test split: 1 (first 'z')"
    assert settled(tmp_path, *rows).notes == ("said before", what)


def test_the_classes_of_a_network_in_its_order(tmp_path, refused):
    classes = ("y", "never", "x")
    found = settled(tmp_path, *sound(), classes=classes)
    assert found.class_names == classes
    assert [note.split(":")[0] for note in found.notes[1:]] == [
        f"classes, of 3, without a clip in the {split} split" for split in ("train", "val", "test")
    ]
    words = ["network's 1 classes ('x')", "3 clips", "'y' of 'trainy.mp4'"]
    refused(lambda: settled(tmp_path, *sound(), classes=("x",)), *words)
    refused(lambda: settled(tmp_path, *sound(), classes=("x", "yy")), "did you mean 'yy'")
    alone = settled(tmp_path, ("a.mp4", "x", "test"), classes=("x",), required=("test",))
    assert alone.class_names == ("x",)
    composed, apart = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    found = settled(tmp_path, ("a.mp4", apart, "test"), classes=("x", composed), required=("test",))
    assert found.spans[0].label == composed


def test_a_list_of_test_clips_alone(tmp_path, refused):
    rows = [("a.mp4", "x", "test"), ("b.mp4", "y", "test")]
    refused(lambda: settled(tmp_path, *rows), "train split", "only test is named")
    spans = settled(tmp_path, *rows, required=("test",)).spans
    assert [(span.path, span.label, span.split) for span in spans] == rows
    refused(lambda: settled(tmp_path, *rows, required=("val",)), "val split", "only test is named", "add val clips")
    refused(lambda: settled(tmp_path, *rows, required=("test", "val")), "val split")
    refused(lambda: settled(tmp_path, *rows, required=("tset",)), "'tset'", "did you mean 'test'")


def test_a_split_nobody_asked_for_need_not_be_possible(tmp_path, refused):
    """One training video a class leaves none to validate on, which a test does not need."""
    rows = [(f"{split}{c}.mp4", c, split) for split in ("train", "test") for c in "xy"]
    refused(lambda: settled(tmp_path, *rows), "val split is taken from")
    assert {span.split for span in settled(tmp_path, *rows, required=("test",)).spans} == {"train", "test"}


def test_splits_assigned_here_are_the_same_whatever_is_required(tmp_path):
    rows = [(f"{c}{i}.mp4", c, "") for c in "xy" for i in range(20)]
    whole = settled(tmp_path, *rows)
    assert settled(tmp_path, *rows, required=("test",), classes=("x", "y")).spans == whole.spans


@pytest.mark.parametrize("config", [ProceduralData(task="shape"), PlantedData()])
def test_drawn_clips_have_the_classes_they_are_drawn_with(config, refused):
    classes = config.class_names
    recipe = config.recipe(**ASKED, classes=classes, required=("test",))
    assert recipe.class_names == classes and recipe.notes == ()
    for other in (classes[::-1], classes[:1], (*classes, "more")):
        refused(lambda other=other: config.recipe(**ASKED, classes=other), f"have {len(classes)} classes", other[0])


FAULTS = {
    # Version 0.1.0 read each of these without a word.
    "both_splits": (["path,label,split", "a.mp4,x,train", "a.mp4,x,test", "b.mp4,y,train", "c.mp4,x,val"], "one split"),
    "two_labels": (["path,label,split", "a.mp4,x,train", "a.mp4,y,train", "c.mp4,x,val", "d.mp4,y,test"], "one label"),
    "overlap": (
        [
            "path,label,start_frame,end_frame,split",
            "a.mp4,x,5,25,train",
            "a.mp4,x,10,30,test",
            "b.mp4,x,,,val",
            "c.mp4,y,,,train",
        ],
        "more than half",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_of_both_sides(fault, write_manifest):
    lines, word = FAULTS[fault]
    with pytest.raises(InvalidInputError, match=word):
        VideoData(manifest=write_manifest(*lines)).recipe(**ASKED)


def test_a_column_called_split_in_another_case_splits(write_manifest):
    lines = ["path,label,Split", "a.mp4,x,test", "b.mp4,x,train", "c.mp4,x,train", "d.mp4,y,test", "e.mp4,y,train"]
    recipe = VideoData(manifest=write_manifest(*lines, "f.mp4,y,train", "g.mp4,x,val", "h.mp4,y,val")).recipe(**ASKED)
    assert recipe.planned == {"train": 4, "val": 2, "test": 2} and recipe.notes == ()


def test_notes_of_a_manifest_and_of_a_folder_come_together(tmp_path, write_manifest, class_folders):
    lines = ["path,label,split,speaker", *(f"{path},{label},{split},s" for path, label, split in sound())]
    recipe = VideoData(manifest=write_manifest(*lines, "trainx.mp4,x,train,s")).recipe(**ASKED)
    assert recipe.notes == (
        "columns of 'clips.csv' that are not read: 1 ('speaker')",
        "rows that repeat an earlier one: 1 (first 'trainx.mp4'); each counts as a clip of its own",
    )
    folder = class_folders(("Cat", "cat"), frames=1)
    (folder / "cat" / "notes.txt").touch()
    first, second, *_ = VideoData(folder=folder).recipe(**ASKED).notes
    assert first == "files that are no video, by their suffix: 1 (1 .txt)" and second.startswith("labels that differ")
