"""Annotation files of any content: a manifest that is read as it was meant, or one line."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.data.annotation_files import hmdb51, jester, kinetics, moments, something, touch, ucf101, write
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.annotations.files import annotation_lines, component, stem
from tvnjax.data.annotations.layouts import LAYOUTS
from tvnjax.data.annotations.making import make_manifest, write_manifest
from tvnjax.data.manifest import read_manifest
from tvnjax.data.naming import composed

SOUND = {
    "hmdb51": hmdb51(),
    "ucf101": ucf101(),
    "kinetics": {"train.csv": kinetics("train", [("yoga", "-aB_0000001", 1)])},
    "something-v2": something(),
    "jester": jester(),
    "moments": moments(),
}
CONTENT = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text('[]{}",:;/\\. \r\n\ufeff012abctrainvlid', max_size=80).map(str.encode)
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
def test_any_content_is_refused_in_one_line_or_its_clips_are_plain(layout, data):
    """One file of a sound set holds anything."""
    sound = SOUND[layout]
    content = data.draw(CONTENT)
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name), sound | {data.draw(st.sampled_from(sorted(sound))): content})
        try:
            found = LAYOUTS[layout].annotations([folder], None)
        except InvalidInputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            return
    for clip in found.clips:
        assert clip.split in ("train", "val", "test") and clip.label.strip() == clip.label != ""
        assert not {"/", "\\", "\0"} & {*clip.name, *clip.folder} and clip.name not in ("", ".", "..")


@given(st.text(max_size=12) | st.text("./\\ ab\0\n", max_size=6))
@example("..")
@example("a/b")
def test_a_component_names_one_entry_of_a_folder(text):
    for check in (component, stem):
        try:
            name = check(text, "here")
        except InvalidInputError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert Path("/videos", name).parent == Path("/videos") and name not in ("", ".", "..")
            assert name.isprintable() or not {chr(code) for code in range(32)} & set(name)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)
        .map(str.strip)
        .filter(bool),
        min_size=2,
        max_size=4,
        unique_by=composed,
    )
)
@example(['say "hi", wave', "#NAME?", "=1+1", "猫"])
@example(["\N{ZERO WIDTH NO-BREAK SPACE}x", "x"])
def test_labels_come_through_as_they_were(labels):
    """Jester's are plain text: what a line says is what a run reads in the manifest."""
    labels = [label for label in labels if ";" not in label]
    lines = "".join(f"{number};{label}\n" for number, label in enumerate(labels * 3))
    with tempfile.TemporaryDirectory() as name:
        files = write(Path(name, "files"), {"a-labels.csv": "\n".join(["first", *labels]), "a-train.csv": lines})
        videos = touch(Path(name, "videos"), *(f"{number}.mp4" for number in range(3 * len(labels))))
        try:
            made = make_manifest("jester", [files], videos, videos)
        except InvalidInputError as error:
            assert len(labels) < 2, error
            return
        write_manifest(videos / "manifest.csv", made.spans)
        read = read_manifest(videos / "manifest.csv").spans
    assert read == made.spans and [(span.path, span.label) for span in read] == [
        (f"{number}.mp4", label) for number, label in enumerate(labels * 3)
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8), max_size=5))
def test_lines_are_numbered_as_an_editor_does(lines):
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        Path(file.name).write_bytes("\r\n".join(["first", *lines]).encode())
        read = [(int(where.split()[-1]), text) for where, text in annotation_lines(Path(file.name))]
    assert read == [(n, text.strip()) for n, text in enumerate(["first", *lines], start=1) if text.strip()]
