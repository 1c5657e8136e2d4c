"""Annotation files of published sets: what is read from each layout, and how each slip is named."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.data.annotation_files import (
    KINETICS,
    hmdb51,
    hmdb51_name,
    jester,
    kinetics,
    moments,
    something,
    ucf101,
    ucf101_name,
    write,
)
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.annotations import files as annotation_files
from tvnjax.data.annotations.clips import AnnotatedClip
from tvnjax.data.annotations.layouts import LAYOUTS, find_layout

# data/annotations in a folder beside this checkout: the files as they were published, a folder for each set.
PUBLISHED = next(Path(__file__).parents[3].glob("*/data/annotations/ucf101_splits"), Path("none")).parent
published = pytest.mark.skipif(not PUBLISHED.name, reason="published annotation files are not beside this checkout")


def read(layout, files, fold=None):
    return LAYOUTS[layout].annotations([files] if isinstance(files, Path) else files, fold)


def splits(found):
    return Counter(clip.split for clip in found.clips)


@pytest.mark.parametrize(("fold", "tested"), [(None, 5), (1, 5), (2, 0), (3, 2)])
def test_hmdb51(tmp_path, fold, tested):
    found = read("hmdb51", write(tmp_path / "f", hmdb51() | {"readme.md": "of another kind"}), fold)
    assert splits(found) == {"train": 20, "test": 4}
    assert found.left_out == {"in neither split": 4}
    assert {clip.source for clip in found.clips if clip.split == "test"} == {
        f"{label}_film_{tested}" for label in ("Archery", "Diving")
    }
    name = hmdb51_name("Diving", tested, 0)
    expected = AnnotatedClip(name=name, label="Diving", split="test", source=f"Diving_film_{tested}")
    assert expected in found.clips


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_ucf101(tmp_path, fold):
    folder = write(tmp_path / "f", ucf101())
    found = read("ucf101", folder, fold)
    assert splits(found) == {"train": 20, "test": 4}
    assert {clip.source[-3:] for clip in found.clips if clip.split == "test"} == {f"g0{fold}"}
    assert found.clips[-1] == AnnotatedClip(
        name=ucf101_name("Diving", fold, 2), label="Diving", split="test", folder="Diving", source=f"v_Diving_g0{fold}"
    )
    assert read("ucf101", sorted(folder.iterdir()), fold) == found


def test_kinetics(tmp_path):
    test = "youtube_id,time_start,time_end,split\n-aB_0000009,7,17,test\n"
    validate = kinetics("validate", KINETICS["val"])
    train = "\ufeff" + kinetics("train", KINETICS["train"][:2]).replace("\n", "\r\n")
    found = read("kinetics", write(tmp_path / "f", {"a.csv": train, "b.csv": validate, "c.csv": test}))
    assert [(clip.name, clip.label, clip.split) for clip in found.clips] == [
        ("-aB_0000001_000001_000011", "yoga", "train"),
        ("-aB_0000002_000022_000032", "yoga", "train"),
        ("-aB_0000004_000004_000014", "yoga", "val"),
        ("-aB_0000005_000005_000015", 'say "hi", wave', "val"),
    ]
    assert found.left_out == {"without a label": 1}


def test_something_something(tmp_path):
    found = read("something-v2", write(tmp_path / "f", something()))
    assert splits(found) == {"train": 8, "val": 2} and found.left_out == {"without a label": 1}
    assert AnnotatedClip(name="1", label="Holding something next to something", split="train") in found.clips
    assert AnnotatedClip(name="11", label="Pushing something up", split="val") in found.clips


def test_jester(tmp_path):
    found = read("jester", write(tmp_path / "f", jester()))
    assert splits(found) == {"train": 8, "val": 2} and found.left_out == {"without a label": 2}
    assert AnnotatedClip(name="12", label="Doing other things", split="val") in found.clips


def test_moments_in_time(tmp_path):
    found = read("moments", write(tmp_path / "f", moments()))
    assert splits(found) == {"train": 8, "val": 2}
    assert found.clips[-1] == AnnotatedClip(
        name="clip-9_1", label="adult male singing", split="val", folder="adult male singing"
    )


def test_clips_named_twice(tmp_path, refused):
    folder = write(tmp_path / "f", jester() | {"jester-v1-train-quick-testing.csv": "1;Doing other things\r\n"})
    found = read("jester", folder)
    assert splits(found) == {"train": 8, "val": 2} and found.left_out["named twice"] == 1
    write(folder, {"jester-v1-train-quick-testing.csv": "3;Doing other things\n2;Doing other things\n"})
    words = ("one label", "line 2", "'2'", "'Thumb Up' in train", "'Doing other things' in train")
    refused(lambda: read("jester", folder), *words)
    write(folder, {"jester-v1-train-quick-testing.csv": "11;Thumb Up\n"})
    refused(lambda: read("jester", folder), "one split", "in train", "in val")


def changed(content, name, old, new):
    assert old in content[name]
    return content | {name: content[name].replace(old, new, 1)}


HMDB = "Archery_test_split1.txt"
TRAIN, CLASSES = "trainlist01.txt", "classInd.txt"
SSV2 = "something-something-v2-"


@pytest.mark.parametrize(
    ("layout", "content", "words"),
    [
        ("hmdb51", changed(hmdb51(), HMDB, " 1 \n", " 3 \n"), ["line 1", "0, 1 or 2"]),
        ("hmdb51", changed(hmdb51(), HMDB, " 1 \n", "\n"), ["line 1", "0, 1 or 2"]),
        ("hmdb51", changed(hmdb51(), HMDB, "Arch", "../Arch"), ["line 1", "without a path", "'../Archery"]),
        ("hmdb51", changed(hmdb51(), HMDB, "Arch", "Arch\x1b[2J"), ["line 1", r"control character '\x1b'"]),
        ("hmdb51", changed(hmdb51(), HMDB, "Arch", "Arch\0"), ["line 1", r"control character '\x00'"]),
        ("hmdb51", changed(hmdb51(), HMDB, "Arch", "A" * 300), ["line 1", "without a path"]),
        ("hmdb51", changed(hmdb51(), HMDB, ".avi", ""), ["line 1", "suffix"]),
        ("hmdb51", {name: text for name, text in hmdb51().items() if name != HMDB}, ["'Archery'", "fold 1", HMDB]),
        ("hmdb51", {"readme.txt": ""}, ["CLASS_test_splitN.txt", "folder", "none"]),
        ("hmdb51", {HMDB: "\n \n"}, ["name none"]),
        ("hmdb51", {HMDB: "a.avi 0 \n"}, ["name none"]),
        ("ucf101", changed(ucf101(), TRAIN, " 1\r", " 2\r"), ["line 1", "'Archery' 1", "belong together"]),
        ("ucf101", changed(ucf101(), TRAIN, " 1\r", f" {'9' * 6000}\r"), ["line 1", "has 99999999999999999999 and"]),
        ("ucf101", changed(ucf101(), TRAIN, " 1\r", "\r"), ["line 1", "number of the class"]),
        ("ucf101", changed(ucf101(), TRAIN, "Archery/", "Archer/"), ["line 1", "'Archer'", "did you mean 'Archery'"]),
        ("ucf101", changed(ucf101(), TRAIN, "Archery/", "../"), ["line 1", "'..'", "classInd.txt"]),
        ("ucf101", changed(ucf101(), TRAIN, "Archery/", "Archery/../"), ["line 1", "without a path"]),
        ("ucf101", changed(ucf101(), TRAIN, "Archery/", "Archery\\"), ["line 1", "CLASS/NAME.avi"]),
        ("ucf101", changed(ucf101(), CLASSES, "2 Diving", "2 Archery"), ["line 2", "each once"]),
        ("ucf101", changed(ucf101(), CLASSES, "2 Diving", "1 Diving"), ["line 2", "each once"]),
        ("ucf101", changed(ucf101(), CLASSES, "2 Diving", "2 .."), ["line 2", "without a path"]),
        ("ucf101", {name: text for name, text in ucf101().items() if name != TRAIN}, [TRAIN, "missing"]),
        ("ucf101", {name: text for name, text in ucf101().items() if name != CLASSES}, ["classInd.txt", "missing"]),
        ("kinetics", {"a.csv": "youtube_id;label\n"}, ["line 1", "columns youtube_id, time_start, time_end, split"]),
        ("kinetics", {"a.csv": kinetics("trian", KINETICS["train"][:1])}, ["line 2", "'trian'"]),
        ("kinetics", {"a.csv": kinetics("train", [("yoga", "#NAME?", 1)])}, ["line 2", "'#NAME?'", "YouTube id"]),
        ("kinetics", {"a.csv": kinetics("train", [("yoga", "../../../ab", 1)])}, ["line 2", "YouTube id"]),
        ("kinetics", {"a.csv": kinetics("train", [("yoga", "-aB_0000001", -4)])}, ["line 2", "'-4'", "whole seconds"]),
        ("kinetics", {"a.csv": kinetics("train", [("a,b", "-aB_0000001", 1)])}, ["line 2", "6 fields", "has 7"]),
        ("kinetics", {"a.csv": kinetics("train", [('"a', "-aB_0000001", 1)])}, ["line 2", "well-formed CSV"]),
        ("kinetics", {"a.csv": kinetics("train", [("a" * 300, "-aB_0000001", 1)])}, ["line 2", "at most 255"]),
        ("kinetics", {"a.csv": kinetics("test", [("", "-aB_0000001", 1)])}, ["all 1 are without a label"]),
        ("kinetics", {"a.csv": kinetics("train", KINETICS["train"]).encode("utf-16")}, ["UTF-8", "0xff"]),
        ("kinetics", {"a.csv": kinetics("train", [("ü", "-aB_0000001", 1)]).encode("latin-1")}, ["line 2", "0xfc"]),
        ("kinetics", {"a.csv": "label,youtube_id\rtime_start,time_end,split\r"}, ["line 1", r"'\r'"]),
        ("something-v2", something() | {SSV2 + "train.json": "[" * 100_000}, ["train.json", "nested more than"]),
        ("something-v2", something() | {SSV2 + "train.json": "{}"}, ["train.json", "a JSON list"]),
        (
            "something-v2",
            something() | {SSV2 + "train.json": "[7]"},
            ["train.json' entry 1", "an object with an id", "7"],
        ),
        ("something-v2", something() | {SSV2 + "train.json": '[{"id": "../1"}]'}, ["entry 1", "digits", "'../1'"]),
        ("something-v2", something() | {SSV2 + "train.json": '[{"id": "1"}]'}, ["entry 1", "template", "None"]),
        (
            "something-v2",
            something() | {SSV2 + "train.json": '[{"id": "1", "template": "Pushing [something] upp"}]'},
            ["entry 1", "upp", "did you mean 'Pushing something up'"],
        ),
        ("something-v2", something() | {SSV2 + "labels.json": "[]"}, ["labels.json", "JSON object of classes"]),
        ("something-v2", something() | {SSV2 + "labels.json": '{"a\\u0007": "0"}'}, ["labels.json", "one line"]),
        ("something-v2", {SSV2 + "train.json": "[]"}, ["labels' JSON file"]),
        ("something-v2", something() | {"clips.json": "[]"}, ["'clips.json'", "rename it"]),
        ("jester", changed(jester(), "jester-v1-train.csv", ";", ","), ["line 1", "; and a label"]),
        ("jester", changed(jester(), "jester-v1-train.csv", "1;", "../1;"), ["line 1", "an id"]),
        ("jester", changed(jester(), "jester-v1-train.csv", "other", "otter"), ["line 1", "did you mean 'Doing other"]),
        ("jester", {"jester-v1-train.csv": "1;Thumb Up"}, ["jester-v1-labels.csv"]),
        ("jester", {"jester-v1-labels.csv": "Thumb Up", "jester-v1-test.csv": "1"}, ["all 1 are without a label"]),
        (
            "moments",
            changed(moments(), "trainingSet.csv", "clapping/", "claping/"),
            ["line 1", "did you mean 'clapping'"],
        ),
        ("moments", changed(moments(), "trainingSet.csv", "clapping/", "../"), ["line 1", "without a path", "'..'"]),
        ("moments", changed(moments(), "trainingSet.csv", "clip", "x/../../clip"), ["line 1", "without a path"]),
        ("moments", changed(moments(), "trainingSet.csv", "clapping/", ""), ["line 1", "CLASS/FILE.mp4"]),
        ("moments", changed(moments(), "moments_categories.txt", ",0", ""), ["line 1", "a category and its number"]),
        ("moments", {"trainingSet.csv": "a/b.mp4"}, ["moments_categories.txt"]),
    ],
)
def test_slips_are_named_with_their_line(tmp_path, refused, layout, content, words):
    folder = write(tmp_path / "f", content)
    refused(lambda: read(layout, folder), *words)


def test_files_that_cannot_be_read(tmp_path, refused):
    for layout, name in (("jester", "labels.csv"), ("something-v2", "labels.json"), ("hmdb51", HMDB)):
        with pytest.raises(InvalidInputError, match=f"there is no .*{name}"):
            read(layout, tmp_path / name)
    refused(lambda: read("jester", []), "got none")
    refused(lambda: read("jester", tmp_path, 1), "only hmdb51 and ucf101")
    refused(lambda: read("ucf101", tmp_path, 4), "1 to 3", "got 4")
    refused(lambda: read("ucf101", write(tmp_path, {"a.txt": ""}) / "a.txt"), "'a.txt'", "leave it out")


@pytest.mark.parametrize("name", ["charades", "Charades", "mlb-youtube", "MLB_YouTube"])
def test_sets_of_several_labels_are_not_supported(name, refused):
    refused(lambda: find_layout(name), "one label", "several", "not supported")


def test_unknown_layouts(refused):
    refused(lambda: find_layout("kinetic"), "did you mean 'kinetics'")


def test_files_of_a_gibibyte_are_refused_before_they_are_read(tmp_path, refused):
    """Sparse files, which take no room on disk."""
    for layout, name in (("hmdb51", "x_test_split1.txt"), ("kinetics", "a.csv"), ("something-v2", "labels.json")):
        path = tmp_path / name
        path.touch()
        os.truncate(path, 2**30)
        with pytest.raises(InvalidInputError, match="at most"):
            read(layout, path)


def test_classes_and_clips_have_bounds(tmp_path, monkeypatch, refused):
    folder = write(tmp_path / "f", jester())
    monkeypatch.setattr(annotation_files, "MAX_CLASSES", 1)
    refused(lambda: read("jester", folder), "at most 1 classes")
    monkeypatch.undo()
    monkeypatch.setattr("tvnjax.data.annotations.clips.MAX_ROWS", 9)
    refused(lambda: read("jester", folder), "at most 9 rows")


def test_a_file_as_large_as_kinetics_700_is_read(tmp_path):
    """Its training clips are about half a million rows, 40 MB with what some mirrors add; a tenth of them here."""
    rows = [f"dancing macarena,{i:011d},{i % 1000},{i % 1000 + 10},train,{'x' * 40}\n" for i in range(50_000)]
    path = tmp_path / "train.csv"
    path.write_text("label,youtube_id,time_start,time_end,split,note\n" + "".join(rows))
    assert 10 * path.stat().st_size < annotation_files.MAX_BYTES
    assert len(read("kinetics", path).clips) == 50_000


@published
@pytest.mark.parametrize(
    ("layout", "folder", "fold", "counts", "classes"),
    [
        *(("hmdb51", "hmdb51_splits", fold, {"train": 3570, "test": 1530}, 51) for fold in (1, 2, 3)),
        ("ucf101", "ucf101_splits", 1, {"train": 9537, "test": 3783}, 101),
        ("ucf101", "ucf101_splits", 2, {"train": 9586, "test": 3734}, 101),
        ("ucf101", "ucf101_splits", 3, {"train": 9624, "test": 3696}, 101),
        ("kinetics", "kinetics", None, {"val": 19906}, 400),
        ("jester", "jester_v1", None, {"train": 118562, "val": 14787}, 27),
        ("something-v2", "sthv2", None, {"train": 6}, 6),
        ("moments", "moments_in_time", None, {"train": 6}, 6),
    ],
)
def test_published_files(layout, folder, fold, counts, classes):
    """Counts are those of the sets' own pages; the last two are small stand-ins in the true layout."""
    found = read(layout, PUBLISHED / folder, fold)
    assert splits(found) == counts and len({clip.label for clip in found.clips}) == classes
    if layout in ("hmdb51", "ucf101"):
        assert all(clip.source and clip.source != clip.name for clip in found.clips)
    if layout == "ucf101":  # official: no group is on both sides
        sides = {(clip.source, clip.split) for clip in found.clips}
        assert len(sides) == len({source for source, _ in sides})
