"""What a manifest may look like, and how each slip in one is named."""

import os

import pytest

from tvnjax.data.manifest import LabelledSpan, read_manifest


def test_columns_are_found_by_name(write_manifest):
    manifest = write_manifest(
        "speaker,end_frame,split,label,path,start_frame",
        "s1,30,train,bin,videos/a.mp4,20",
        's1,,validation, blue ,"videos/b, c.mp4",',
        "",
        "s1,30,test,bin,./videos/d.mp4,",
    )
    listing = read_manifest(manifest)
    assert listing.notes == ("columns of 'clips.csv' that are not read: 1 ('speaker')",)
    assert listing.spans == [
        LabelledSpan(path="videos/a.mp4", label="bin", start=20, end=30, split="train"),
        LabelledSpan(path="videos/b, c.mp4", label="blue", split="val"),
        LabelledSpan(path="videos/d.mp4", label="bin", end=30, split="test"),
    ]


def test_spreadsheet_files_are_read(write_manifest):
    """A byte order mark, Windows line ends, spaces and letters of every script."""
    manifest = write_manifest("path , label", "clips of ü/猫 1.mp4,猫", encoding="utf-8-sig", newline="\r\n")
    assert read_manifest(manifest).spans == [LabelledSpan(path="clips of ü/猫 1.mp4", label="猫")]


@pytest.mark.parametrize(
    "header",
    [
        "Path,LABEL,Start_Frame,End_Frame,Split",
        " path ,label\t,start frame, end  frame,SPLIT ",
        "PATH,Label,start-frame,END-FRAME,split",
        "\ufeffpath,label,START FRAME,End-Frame,\ufeffSplit",
    ],
)
def test_names_of_columns_in_any_case_and_spelling_of_spaces(header, write_manifest):
    """They were passed over: the whole of every video was trained on, that of test clips too."""
    listing = read_manifest(write_manifest(header, "a.mp4,x,5,9,test"))
    assert listing.spans == [LabelledSpan(path="a.mp4", label="x", start=5, end=9, split="test")]
    assert listing.notes == ()


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        *((name, "split") for name in ("splits", "Subset", "set", "partition", "splt", "spilt", "is_test", "fold")),
        *((name, "start_frame") for name in ("start", "Begin", "startframe", "strat_frame", "start_time", "from")),
        *((name, "start_frame") for name in ("frame_start", "time_start", "first_frame", "onset", "clip start (s)")),
        *(
            (name, "end_frame")
            for name in ("end", "stop", "endframe", "end_frames", "t_end", "To", "last-frame", "ends")
        ),
    ],
)
def test_columns_that_may_be_one_that_is_read_are_refused(column, meant, write_manifest, refused):
    words = [f"may mean {meant}", repr(column), f"rename it to {meant}"]
    refused(lambda: read_manifest(write_manifest(f"path,label,{column}", "a.mp4,x,7")), *words)
    if meant != "split":
        beside = f"path,label,start_frame,end_frame,{column}"
        refused(lambda: read_manifest(write_manifest(beside, "a.mp4,x,0,7,9")), *words, "beside it")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        *(
            (f"{name},label", ["lacks 'path'", f"{name!r} may be it"])
            for name in ("video", "File", "filename", "paths")
        ),
        *(
            (f"path,{name}", ["lacks 'label'", f"{name!r} may be it"])
            for name in ("class", "Category", "lable", "target")
        ),
        ("path,label,Split,split", ["split 2 times", "'Split', 'split'"]),
        ("path,label,start frame,Start_Frame", ["start_frame 2 times"]),
        ("path,label,start_frame,num_frames", ["may mean end_frame", "'num_frames'"]),
        ("path,label,start_frame,duration", ["may mean end_frame", "'duration'"]),
        ("path\tlabel", ["commas"]),
        ("path,label" + ",x" * 1000, ["at most 1,000 columns", "1,002"]),
    ],
)
def test_headers_that_are_refused(header, words, write_manifest, refused):
    refused(lambda: read_manifest(write_manifest(header, "a.mp4,x,1,2")), *words)


def test_columns_of_no_meaning_here_are_noted(write_manifest):
    lines = ["id,path,speaker,label,fps,width,num_frames,class,dataset,views", "1,a.mp4,s1,x,25,320,75,x,ours,9"]
    listing = read_manifest(write_manifest(*lines))
    shown = "'id', 'speaker', 'fps', 'width', 'num_frames', 'class', 'dataset', 'views'"
    assert listing.notes == (f"columns of 'clips.csv' that are not read: 8 ({shown})",)


def test_a_column_of_splits_under_any_name_is_refused(write_manifest, refused):
    lines = ["path,label,rôle,note", "a.mp4,x,Train,test", "b.mp4,x,TEST,", "c.mp4,x,validation,test"]
    refused(
        lambda: read_manifest(write_manifest(*lines)), "'rôle'", "nothing but names of splits", "rename it to split"
    )
    lines[0] = "path,label,split,note"
    assert [span.split for span in read_manifest(write_manifest(*lines)).spans] == ["train", "test", "val"]


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train", "Train", " TRAINING "), "train"),
        (("val", "Valid", "VALIDATION", "dev "), "val"),
        (("test", " TEST", "Testing"), "test"),
    ],
)
def test_names_of_splits(names, split, write_manifest):
    manifest = write_manifest("path,label,split", *(f"{i}.mp4,x,{name}" for i, name in enumerate(names)))
    assert {span.split for span in read_manifest(manifest).spans} == {split}


@pytest.mark.parametrize("name", ["eval", "0", "1", "trn", "unlabelled", "train/val", "holdout"])
def test_other_names_of_splits_are_refused(name, write_manifest, refused):
    refused(lambda: read_manifest(write_manifest("path,label,split", f"a.mp4,x,{name}")), "row 2", repr(name))


@pytest.mark.parametrize(
    ("start", "advice"),
    [
        ("5.0", "write 5 if it counts frames, or multiply seconds"),
        ("5.", "write 5"),
        ("1.5", "multiply seconds by the frames per second"),
        ("00:01:02", "multiply seconds"),
        ("3s", "multiply seconds"),
        ("2.5 sec", "multiply seconds"),
        ("nan", "leave it empty for the start"),
        ("-1", "leave it empty"),
        ("NULL", "leave it empty"),
        ("1e3", "count frames from 0"),
        ("５", "count frames from 0"),
    ],
)
def test_frames_in_other_forms_are_refused_with_what_to_write(start, advice, write_manifest, refused):
    manifest = write_manifest("path,label,start_frame", f"a.mp4,x,{start}")
    refused(lambda: read_manifest(manifest), "row 2", "start_frame", advice)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["is empty"]),
        (["path,label"], ["has no row"]),
        (["path,labels,split", "a.mp4,bin blue,train"], ["'label'", "'labels', 'split'", "('labels' may be it)"]),
        (["file;label", "a.mp4;x"], ["'path'", "'file;label'", "separate columns by commas"]),
        (["path,label,label", "a.mp4,x,y"], ["label 2 times"]),
        (["path,label", "a.mp4,x", "b.mp4"], ["row 3", "has 1"]),
        (["path,label", "a, b.mp4,x"], ["row 2", "has 3", "double quotes"]),
        (["path,label", "a.mp4, "], ["row 2", "''"]),
        (["path,label", " ,x"], ["row 2", "path must name"]),
        (["path,label", 'a.mp4,"x\ny"'], ["row 2", r"'x\ny'"]),
        (["path,label", 'a.mp4,"x'], ["no well-formed CSV"]),
        (["path,label,start_frame,end_frame", "a.mp4,x,1.5,9"], ["row 2", "start_frame", "'1.5'"]),
        (["path,label,start_frame,end_frame", "a.mp4,x,-3,9"], ["row 2", "start_frame", "'-3'"]),
        (["path,label,start_frame,end_frame", "a.mp4,x,0,99999999999999"], ["end_frame", "99999999999999"]),
        (["path,label,start_frame,end_frame", "a.mp4,x,9,4"], ["row 2", "9 to 4"]),
        (["path,label,end_frame", "a.mp4,x,0"], ["row 2", "0 to 0"]),
        (["path,label,split", "a.mp4,x,tset"], ["row 2", "'tset'", "did you mean 'test'"]),
        (["path,label,split", "a.mp4,x,"], ["row 2", "''", "remove the column"]),
        (["path,label", "/etc/a.mp4,x"], ["row 2", "'/etc/a.mp4'", "stay inside"]),
        (["path,label", "sub/../../a.mp4,x"], ["row 2", "stay inside"]),
        (["path,label", "a\0.mp4,x"], ["row 2", r"'a\x00.mp4'"]),
    ],
)
def test_slips_are_named_with_their_row(lines, words, write_manifest, refused):
    refused(lambda: read_manifest(write_manifest(*lines)), *words)


def test_links_that_leave_the_folder_are_refused(tmp_path, write_manifest, refused):
    (tmp_path / "data").mkdir()
    (tmp_path / "outside.mp4").touch()
    os.symlink(tmp_path / "outside.mp4", tmp_path / "data" / "a.mp4")
    os.symlink(tmp_path, tmp_path / "data" / "up")
    os.symlink("loop", tmp_path / "data" / "loop")
    for path in ("a.mp4", "up/outside.mp4", "loop/a.mp4"):
        manifest = write_manifest("path,label", f"{path},x", name="data/clips.csv")
        refused(lambda manifest=manifest: read_manifest(manifest), "row 2", repr(path), "stay inside")


def test_links_inside_the_folder_are_followed(tmp_path, write_manifest):
    (tmp_path / "b.mp4").touch()
    os.symlink("b.mp4", tmp_path / "a.mp4")
    assert read_manifest(write_manifest("path,label", "a.mp4,x")).spans[0].path == "a.mp4"


def test_files_that_are_no_manifest(tmp_path, write_manifest, refused):
    refused(lambda: read_manifest(tmp_path / "none.csv"), "none.csv", "does not exist", "check the path")
    refused(lambda: read_manifest(tmp_path), "is a folder")
    latin = write_manifest("path,label", "ü.mp4,x", encoding="latin-1")
    refused(lambda: read_manifest(latin), "UTF-8", "0xfc", "position 11")


def test_names_say_which_span():
    assert LabelledSpan(path="a.mp4", label="x").name == "a.mp4"
    assert LabelledSpan(path="a.mp4", label="x", start=3, end=9).name == "a.mp4[3:9]"
    assert LabelledSpan(path="a.mp4", label="x", start=3).name == "a.mp4[3:]"
