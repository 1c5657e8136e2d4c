"""Small annotation files in the layouts of published sets, and empty files in place of videos."""

import json
from collections.abc import Iterable
from pathlib import Path

CLASSES = ("Archery", "Diving")


def touch(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def hmdb51() -> dict[str, str]:
    """Two classes of seven films with two clips each; in fold 1 film 5 is of the test clips, and film 6 in neither."""
    told = {1: (1, 1, 1, 1, 1, 2, 0), 2: (2, 1, 1, 1, 1, 1, 0), 3: (1, 1, 2, 1, 1, 1, 0)}
    return {
        f"{label}_test_split{fold}.txt": "".join(
            f"{hmdb51_name(label, film, clip)}.avi {told[fold][film]} \n" for film in range(7) for clip in range(2)
        )
        for label in CLASSES
        for fold in told
    }


def hmdb51_name(label: str, film: int, clip: int) -> str:
    return f"{label}_film_{film}_{label}_f_cm_np12_fr_goo_{clip}"


def ucf101() -> dict[str, str]:
    """Two classes of groups 1 to 6 of two clips; group N is tested on in fold N. Windows line ends, as published."""
    files = {"classInd.txt": "1 Archery\r\n2 Diving\r\n"}
    for fold in (1, 2, 3):
        for split in ("train", "test"):
            files[f"{split}list0{fold}.txt"] = "".join(
                f"{label}/{ucf101_name(label, group, clip)}.avi" + f" {number}" * (split == "train") + "\r\n"
                for number, label in enumerate(CLASSES, start=1)
                for group in range(1, 7)
                for clip in (1, 2)
                if (group == fold) == (split == "test")
            )
    return files


def ucf101_name(label: str, group: int, clip: int) -> str:
    return f"v_{label}_g{group:02d}_c{clip:02d}"


def kinetics(split: str, clips: Iterable[tuple[str, str, int]]) -> str:
    rows = (f"{label},{identity},{start},{start + 10},{split},0\n" for label, identity, start in clips)
    return "label,youtube_id,time_start,time_end,split,is_cc\n" + "".join(rows)


# A label with quotes and a comma, as CSV writes it.
KINETICS = {
    "train": [("yoga", "-aB_0000001", 1), ("yoga", "-aB_0000002", 22), ('"say ""hi"", wave"', "-aB_0000003", 333)],
    "val": [("yoga", "-aB_0000004", 4), ('"say ""hi"", wave"', "-aB_0000005", 5)],
}


def something() -> dict[str, str]:
    labels = {"Pushing something up": "0", "Holding something next to something": "1"}
    template = {"up": "Pushing [something] up", "next": "Holding [something] next to [something]"}

    def entry(number: int, kind: str) -> dict[str, object]:
        return {"id": str(number), "label": "of a cup", "template": template[kind], "placeholders": ["a cup"]}

    return {
        "something-something-v2-labels.json": json.dumps(labels),
        "something-something-v2-train.json": json.dumps([entry(i, ("up", "next")[i % 2]) for i in range(1, 9)]),
        "something-something-v2-validation.json": json.dumps([entry(11, "up"), entry(12, "next")]),
        "something-something-v2-test.json": json.dumps([{"id": "21"}]),
    }


def jester() -> dict[str, str]:
    labels = ("Thumb Up", "Doing other things")
    return {
        "jester-v1-labels.csv": "\n".join(labels),
        "jester-v1-train.csv": "".join(f"{i};{labels[i % 2]}\n" for i in range(1, 9)),
        "jester-v1-validation.csv": f"11;{labels[0]}\r\n12;{labels[1]}",
        "jester-v1-test.csv": "21\n22\n",
    }


def moments() -> dict[str, str]:
    rows = [
        f"{folder}/clip-{i}_1.mp4,{folder},3,0\n" for folder in ("clapping", "adult+male+singing") for i in range(4)
    ]
    return {
        "moments_categories.txt": "clapping,0\nadult+male+singing,1\n",
        "trainingSet.csv": "".join(rows),
        "validationSet.csv": "clapping/clip-9_1.mp4,clapping,3,0\nadult+male+singing/clip-9_1.mp4,singing,1,2\n",
    }
