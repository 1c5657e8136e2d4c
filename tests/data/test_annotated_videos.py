"""Manifests of published sets: which videos are found, what is left out, and that a run takes them."""

import os
from collections import defaultdict
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
    touch,
    ucf101,
    ucf101_name,
    write,
)
from tvnjax.cli import main
from tvnjax.data.annotations.making import make_manifest, write_manifest
from tvnjax.data.manifest import LabelledSpan, read_manifest
from tvnjax.data.splits import assign_splits
from tvnjax.data.video_folder import VideoData

CLASSES = ("Archery", "Diving")


@pytest.fixture
def annotated(tmp_path):
    return lambda content: write(tmp_path / "annotations", content)


def make(layout, files, videos, **options):
    return make_manifest(layout, [files], videos, options.pop("root", videos), **options)


def hmdb51_videos(folder, pattern="{label}/{name}.avi"):
    names = [(label, hmdb51_name(label, film, clip)) for label in CLASSES for film in range(7) for clip in range(2)]
    return touch(folder, *(pattern.format(label=label, name=name) for label, name in names))


def ucf101_videos(folder, pattern="UCF-101/{label}/{name}.avi"):
    names = [(label, ucf101_name(label, group, clip)) for label in CLASSES for group in range(1, 7) for clip in (1, 2)]
    return touch(folder, *(pattern.format(label=label, name=name) for label, name in names))


def splits(spans):
    found = defaultdict(set)
    for span in spans:
        found[span.split].add(Path(span.path).stem)
    return found


def test_validation_takes_whole_sources_and_never_test_clips(tmp_path, annotated):
    """For any seed, as far as the classes allow; and a run keeps it so."""
    videos = ucf101_videos(tmp_path / "videos")
    files = annotated(ucf101())
    seen = set()
    for seed in range(6):
        made = make("ucf101", files, videos, fold=2, val_fraction=0.4, seed=seed)
        found = splits(made.spans)
        assert found["test"] == {ucf101_name(label, 2, c) for label in CLASSES for c in (1, 2)}
        groups = {split: {name[:-4] for name in names} for split, names in found.items()}
        assert not groups["train"] & groups["val"] and not groups["test"] & (groups["train"] | groups["val"])
        assert [len(found[split]) for split in ("train", "val", "test")] == [12, 8, 4]
        assert assign_splits(made.spans, val_fraction=0.3, test_fraction=0.3, seed=seed) == made.spans
        assert make("ucf101", files, videos, fold=2, val_fraction=0.4, seed=seed) == made
        seen.add(frozenset(found["val"]))
    assert len(seen) > 1


def test_a_film_of_several_classes_stays_on_one_side(tmp_path, annotated):
    """Each of four films has clips of both classes, and each class has films of its own too."""
    lines = defaultdict(list)
    for film in range(12):
        for label in CLASSES if film < 4 else (CLASSES[film % 2],):
            lines[label].append(f"film_{film}_{label}_u_nm_np1_ba_med_0.avi {1 + (film > 9)} \n")
    files = annotated({f"{label}_test_split1.txt": "".join(told) for label, told in lines.items()})
    videos = touch(tmp_path / "videos", *(line.split()[0] for told in lines.values() for line in told))
    for seed in range(8):
        found = splits(make("hmdb51", files, videos, val_fraction=0.5, seed=seed).spans)
        films = {split: {name.split("_")[1] for name in names} for split, names in found.items()}
        assert not films["train"] & films["val"] and films["test"] == {"10", "11"} and films["val"]


def test_a_class_keeps_something_to_train_on(tmp_path, annotated):
    """All films of the class Diving are of the rarer class Archery too, which gives one of its two away."""
    told = {
        "Archery": "".join(f"film_{film}_Archery_u_nm_np1_ba_med_0.avi 1 \n" for film in (0, 1)),
        "Diving": "".join(f"film_0_Diving_u_nm_np1_ba_med_{clip}.avi 1 \n" for clip in range(3))
        + "film_9_Diving_u_nm_np1_ba_med_0.avi 2 \n",
        "Walk": "".join(f"film_{film}_Walk_u_nm_np1_ba_med_0.avi 1 \n" for film in (5, 6, 7, 8)),
    }
    files = annotated({f"{label}_test_split1.txt": lines for label, lines in told.items()})
    videos = touch(tmp_path / "videos", *(line.split()[0] for lines in told.values() for line in lines.splitlines()))
    for seed in range(8):
        spans = make("hmdb51", files, videos, val_fraction=0.5, seed=seed).spans
        assert {span.label for span in spans if span.split == "train"} == set(told)


@pytest.mark.parametrize(
    "pattern", ["{label}/{name}.avi", "{name}.mp4", "hmdb51_org/{label}/{name}.mkv", "a/b/{name}.AVI"]
)
def test_videos_are_found_wherever_they_lie(tmp_path, annotated, pattern):
    videos = hmdb51_videos(tmp_path / "videos", pattern)
    made = make("hmdb51", annotated(hmdb51()), videos, val_fraction=0.0)
    name = hmdb51_name("Diving", 1, 1)
    path = pattern.format(label="Diving", name=name)
    assert LabelledSpan(path=path, label="Diving", split="train") in made.spans
    assert (len(made.spans), made.missing) == (24, [])
    assert {span.split for span in made.spans} == {"train", "test"}


def test_a_manifest_above_the_videos(tmp_path, annotated, monkeypatch, refused):
    videos = hmdb51_videos(tmp_path / "data" / "videos")
    files = annotated(hmdb51())
    made = make("hmdb51", files, videos, root=tmp_path)
    assert made.spans[0].path.startswith("data/videos/Archery/")
    monkeypatch.chdir(tmp_path / "data")
    assert make("hmdb51", files, Path("videos"), root=Path()).spans[0].path.startswith("videos/Archery/")
    refused(lambda: make("hmdb51", files, videos, root=tmp_path / "annotations"), "or above it", "--out")
    refused(lambda: make("hmdb51", files, tmp_path / "none"), "does not exist", "--videos")


def test_links(tmp_path, annotated, refused):
    """To folders inside they are followed; what leaves the manifest's folder, a run would refuse."""
    files, videos = annotated(hmdb51()), hmdb51_videos(tmp_path / "data" / "store")
    os.symlink("store", tmp_path / "data" / "linked")
    made = make("hmdb51", files, tmp_path / "data" / "linked", root=tmp_path / "data")
    assert made.spans[0].path.startswith("linked/")
    assert make("hmdb51", files, tmp_path / "data" / "linked").spans[0].path.startswith("Archery/")
    (tmp_path / "other").mkdir()
    os.symlink(videos, tmp_path / "other" / "linked")
    refused(lambda: make("hmdb51", files, tmp_path / "other"), "a link that leaves")


def test_kinetics_in_folders_by_any_name(tmp_path, annotated):
    files = annotated({f"{split}.csv": kinetics(split, clips) for split, clips in KINETICS.items()})
    videos = touch(
        tmp_path / "videos",
        "train/yoga/-aB_0000001_000001_000011.mp4",
        "train/yoga/-aB_0000002_000022_000032.webm",
        "train/say_hi,_wave/-aB_0000003_000333_000343.mp4",
        "val/-aB_0000004_000004_000014.mp4",
        "val/-aB_0000005_000005_000015.txt",
    )
    write(
        videos.parent / "annotations",
        {"more.csv": kinetics("train", [("yoga", "-aB_0000006", 6), ("yoga", "-aB_0000007", 7)])},
    )
    touch(videos, "-aB_0000006_000006_000016.mp4", ".-aB_0000007_000007_000017.mp4")
    made = make("kinetics", files, videos)
    assert [span.split for span in made.spans] == ["train"] * 4 + ["val"]
    assert made.spans[1].label == "yoga" and sorted(made.missing) == [
        "-aB_0000005_000005_000015",
        "-aB_0000007_000007_000017",
    ]


def test_moments_of_one_name_are_told_apart_by_their_folders(tmp_path, annotated, refused):
    names = [
        f"{split}/{label}/clip-{i}_1.mp4"
        for label in ("clapping", "adult male singing")
        for i, split in ((0, "training"), (1, "training"), (2, "training"), (3, "training"), (9, "validation"))
    ]
    videos = touch(tmp_path / "videos", *names)
    made = make("moments", annotated(moments()), videos)
    assert not made.missing and len(made.spans) == 10
    assert all(span.label in span.path for span in made.spans)
    flat = touch(tmp_path / "flat", *(Path(name).name for name in names))
    refused(lambda: make("moments", annotated(moments()), flat), "none is in")


def test_two_files_that_may_be_a_clip(tmp_path, annotated, refused):
    files, videos = annotated(jester()), touch(tmp_path / "videos", *(f"{i}.mp4" for i in range(1, 13)))
    make("jester", files, videos)
    touch(videos, "other/3.mp4")
    refused(lambda: make("jester", files, videos), "one file", "'3.mp4' or 'other/3.mp4'")
    (videos / "3.mp4").rename(videos / "4.webm")
    refused(lambda: make("jester", files, videos), "'4.mp4' or '4.webm'")
    (videos / "4.webm").unlink()
    touch(videos, "train/2.mp4", "val/2.mp4")
    (videos / "2.mp4").unlink()
    spans = make("jester", files, videos).spans
    assert "train/2.mp4" in {span.path for span in spans} and "val/2.mp4" not in {span.path for span in spans}


def test_one_file_that_may_be_two_clips(tmp_path, annotated, refused):
    content = ucf101()
    content["trainlist01.txt"] += "Diving/v_Archery_g03_c01.avi 2\r\n"
    refused(lambda: make("ucf101", annotated(content), ucf101_videos(tmp_path / "v")), "one clip", "'Archery' in train")


def test_missing_videos(tmp_path, annotated, refused):
    files, videos = annotated(hmdb51()), hmdb51_videos(tmp_path / "videos")
    for clip in range(2):
        (videos / "Diving" / f"{hmdb51_name('Diving', 1, clip)}.avi").unlink()
    made = make("hmdb51", files, videos)
    assert made.missing == [hmdb51_name("Diving", 1, clip) for clip in range(2)] and len(made.spans) == 22
    for film in (0, 2, 3, 4):
        for clip in range(2):
            (videos / "Diving" / f"{hmdb51_name('Diving', film, clip)}.avi").unlink()
    refused(lambda: make("hmdb51", files, videos), "1 of 2 have none", "'Diving'", "--drop-lost-classes")
    refused(lambda: make("hmdb51", files, videos, drop_lost_classes=True), "at least two classes")
    refused(lambda: make("hmdb51", files, touch(tmp_path / "empty", "a.avi")), "of 24 clips", "none is in")
    tested = touch(tmp_path / "tested", f"{hmdb51_name('Diving', 5, 0)}.avi")
    refused(lambda: make("hmdb51", files, tested, drop_lost_classes=True), "some training videos", "of 2 classes")


def test_lost_classes_are_dropped_from_every_split(tmp_path, annotated):
    content = hmdb51() | {"Walk_test_split1.txt": hmdb51()["Diving_test_split1.txt"].replace("Diving", "Walk")}
    videos = touch(hmdb51_videos(tmp_path / "videos"), f"Walk/{hmdb51_name('Walk', 5, 0)}.avi")
    made = make("hmdb51", annotated(content), videos, drop_lost_classes=True)
    assert made.lost_classes == ["Walk"] and {span.label for span in made.spans} == set(CLASSES)


def test_forms_that_cannot_be_read_are_explained(tmp_path, annotated, refused):
    frames = touch(tmp_path / "frames", *(f"{i}/00001.jpg" for i in range(1, 9)))
    refused(lambda: make("jester", annotated(jester()), frames), "ffmpeg -framerate 12")
    whole = touch(tmp_path / "whole", "-aB_0000001.mp4")
    files = write(tmp_path / "k", {"train.csv": kinetics("train", KINETICS["train"])})
    refused(lambda: make("kinetics", files, whole), "whole ones", "ID_START_END.mp4")


def test_official_validation_clips_as_test_clips(tmp_path, annotated, refused):
    files, videos = annotated(something()), touch(tmp_path / "v", *(f"{i}.webm" for i in (*range(1, 9), 11, 12)))
    assert splits(make("something-v2", files, videos).spans)["val"] == {"11", "12"}
    spans = make("something-v2", files, videos, validation_as="test").spans
    assert splits(spans) == {"train": {*map(str, range(1, 9))}, "test": {"11", "12"}}
    run = splits(assign_splits(spans, val_fraction=0.3, test_fraction=0.3, seed=0))
    assert run["test"] == {"11", "12"} and run["val"] and run["val"] < {*map(str, range(1, 9))}
    hmdb = write(tmp_path / "h", hmdb51())
    refused(lambda: make("hmdb51", hmdb, hmdb51_videos(tmp_path / "hv"), validation_as="test"), "labelled test clips")


def test_what_a_run_would_refuse_is_refused(tmp_path, annotated, refused):
    videos = touch(tmp_path / "videos", *(f"{i}.mp4" for i in range(1, 13)))
    content = jester() | {"jester-v1-train.csv": "1;Thumb Up\n2;Thumb Up\n"}
    refused(lambda: make("jester", annotated(content), videos), "'Doing other things' has none")
    del content["jester-v1-train.csv"]
    (tmp_path / "annotations" / "jester-v1-train.csv").unlink()
    refused(lambda: make("jester", annotated(content), videos), "must be training clips", "all 2")
    one = {f"{label}_test_split1.txt": f"f_{label}_u_nm_np1_ba_med_0.avi 1 \n" for label in CLASSES}
    files = write(tmp_path / "one", one)
    videos = touch(tmp_path / "ones", *(f"f_{label}_u_nm_np1_ba_med_0.avi" for label in CLASSES))
    refused(lambda: make("hmdb51", files, videos), "no class has a second source", "--val-fraction 0")
    for options in ({"val_fraction": 1.0}, {"val_fraction": -0.1}, {"val_fraction": float("nan")}, {"seed": -1}):
        refused(lambda options=options: make("hmdb51", files, videos, **options), "must be at least 0")


@pytest.mark.parametrize(("option", "value"), [("fold", 1), ("val_fraction", 0.2), ("seed", 0)])
def test_options_of_other_sets_are_refused(tmp_path, annotated, refused, option, value):
    videos = touch(tmp_path / "videos", *(f"{i}.mp4" for i in range(1, 13)))
    refused(lambda: make("jester", annotated(jester()), videos, **{option: value}), "hmdb51, ucf101", "leave it out")


def test_a_folder_may_have_the_name_of_a_clip(tmp_path, annotated):
    """Of pictures it is not looked into; of any other set it is a folder like others."""
    files = annotated(something())
    videos = touch(tmp_path / "videos", *(f"{i}/{i}.webm" for i in range(1, 9)), "11.webm", "12.webm", "12/00001.jpg")
    assert len(make("something-v2", files, videos).spans) == 10
    frames = touch(tmp_path / "frames", *(f"{i}.mp4" for i in range(1, 13)), "3/3.mp4", "3/00001.jpg")
    assert "3.mp4" in {span.path for span in make("jester", write(tmp_path / "j", jester()), frames).spans}


def test_a_manifest_is_written_once(tmp_path, refused):
    path = tmp_path / "manifest.csv"
    spans = [
        LabelledSpan(path='a, "b"\n.mp4', label='say "hi", wave', split="train"),
        LabelledSpan(path="=1+1 ü猫.mp4", label="#1; 猫", split="test"),
    ]
    write_manifest(path, spans)
    assert read_manifest(path).spans == spans
    write_manifest(path, spans)
    refused(lambda: write_manifest(path, spans[:1]), "holds something else", "--force")
    refused(lambda: write_manifest(tmp_path, spans), "a manifest is a file", "Is a directory")
    assert read_manifest(path).spans == spans
    write_manifest(path, spans[:1], force=True)
    assert read_manifest(path).spans == spans[:1]
    refused(lambda: write_manifest(tmp_path, spans, force=True), "Is a directory")


def test_the_command(tmp_path, annotated, capsys):
    files, videos = annotated(hmdb51()), hmdb51_videos(tmp_path / "videos")
    (videos / "Diving" / f"{hmdb51_name('Diving', 1, 0)}.avi").unlink()
    call = ["manifest", "hmdb51", str(files), "--videos", str(videos), "--fold", "3"]
    assert main(call) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "23 clips of 2 classes: 16 train, 3 val, 4 test",
        "left out: 4 in neither split",
        f"left out: 1 without a video: '{hmdb51_name('Diving', 1, 0)}'",
        str(videos / "manifest.csv"),
    ]
    spans = read_manifest(videos / "manifest.csv").spans
    tested = {(label, hmdb51_name(label, 2, clip)) for label in CLASSES for clip in range(2)}
    assert {(span.label, Path(span.path).stem) for span in spans if span.split == "test"} == tested
    recipe = VideoData(manifest=videos / "manifest.csv").recipe(num_frames=2, frame_stride=1, image_size=8)
    assert recipe.planned == {"train": 16, "val": 3, "test": 4}
    (copies, labels) = recipe.notes[::-1][:2]  # the fixture's videos are all the same
    assert "copies" in copies and "copies" in labels
    assert main([*call, "--seed", "1", "--out", str(tmp_path / "sub" / "m.csv")]) == 2
    assert "or above it" in capsys.readouterr().err
    assert main([*call, "--seed", "3", "--val-fraction", "0"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*call, "--val-fraction", "0", "--overwrite"]) == 0, "the option's name of before"
    assert "no val clips: a run takes them out of the training clips" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["charades"], ["mlb-youtube", "a.json", "--videos", "."]])
def test_the_command_says_what_it_does_not_support(argv, capsys):
    assert main(["manifest", *argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "several, which is not supported" in error


def test_help_names_every_layout(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["manifest", "--help"])
    told = capsys.readouterr().out
    assert not ended.value.code
    assert all(f"\n  {name}" in told for name in ("hmdb51", "ucf101", "kinetics", "something-v2", "jester", "moments"))
    assert "Charades" in told and "--drop-lost-classes" in told
