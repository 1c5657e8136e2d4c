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
    assert read_manifest(manifest) == [
        LabelledSpan(path="videos/a.mp4", label="bin", start=20, end=30, split="train"),
        LabelledSpan(path="videos/b, c.mp4", label="blue", split="val"),
        LabelledSpan(path="videos/d.mp4", label="bin", end=30, split="test"),
    ]


def test_spreadsheet_files_are_read(write_manifest):
    """A byte order mark, Windows line ends, spaces and letters of every script."""
    manifest = write_manifest("path , label", "clips of ü/猫 1.mp4,猫", encoding="utf-8-sig", newline="\r\n")
    assert read_manifest(manifest) == [LabelledSpan(path="clips of ü/猫 1.mp4", label="猫")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["is empty"]),
        (["path,label"], ["has no row"]),
        (["path,labels,split", "a.mp4,bin blue,train"], ["'label'", "'labels', 'split'", "may be it, misspelt"]),
        (["file;label", "a.mp4;x"], ["'path'", "'file;label'"]),
        (["path,label,label", "a.mp4,x,y"], ["'label' 2 times"]),
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
    assert read_manifest(write_manifest("path,label", "a.mp4,x"))[0].path == "a.mp4"


def test_files_that_are_no_manifest(tmp_path, write_manifest, refused):
    refused(lambda: read_manifest(tmp_path / "none.csv"), "none.csv", "does not exist", "--data.manifest")
    refused(lambda: read_manifest(tmp_path), "is a folder")
    latin = write_manifest("path,label", "ü.mp4,x", encoding="latin-1")
    refused(lambda: read_manifest(latin), "UTF-8", "0xfc", "position 11")


def test_names_say_which_span():
    assert LabelledSpan(path="a.mp4", label="x").name == "a.mp4"
    assert LabelledSpan(path="a.mp4", label="x", start=3, end=9).name == "a.mp4[3:9]"
    assert LabelledSpan(path="a.mp4", label="x", start=3).name == "a.mp4[3:]"
