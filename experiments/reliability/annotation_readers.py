"""The readers of published sets' annotation files under test, with the videos they name."""

import abc
import json
import os
import random
import shutil
from pathlib import Path, PurePosixPath

from experiments.reliability.mutations import damaged_json, mutate_bytes
from experiments.reliability.reader import Reader, ensure
from tvnjax.data.annotations.making import make_manifest, write_manifest
from tvnjax.data.manifest import LabelledSpan, Listing, read_manifest

_CELLS = (
    *(
        "",
        " ",
        ";",
        ",",
        '"',
        "0",
        "-1",
        "3",
        "9" * 30,
        "1e3",
        "train",
        "test",
        "Diving",
        "../../etc/passwd",
        "..",
        ".",
    ),
    *(
        "/etc/x.avi",
        ".x.avi",
        "a\x1b[2J.avi",
        "a\x00b",
        "\N{RIGHT-TO-LEFT OVERRIDE}x",
        "ü猫.avi",
        "x" * 300,
        "a\\b.avi",
    ),
    *("\ufeff", "\x85", "\u2028", "\xa0", "<script>alert(1)</script>", "=1+1", "#NAME?", "Tai+Chi", "Diving;Diving"),
)
_NAMES = ("labels.json", "train.csv", "Diving_test_split1.txt", "test.txt", "classInd.txt", "ü.csv", "a\nb.json", "x")
_CLASSES = ("Archery", "Diving", "TaiChi")
_SPLITS = ("train", "train", "train", "val", "test", "train")
_LINKS = ("..", "/etc", "loop", "../../outside", "../../outside/secret.avi", "/dev/zero")


class AnnotatedSet(Reader):
    """``make_manifest`` of one layout: files damaged, and videos missing, doubled, or behind links."""

    layout: str
    folds = False
    test_labels = False
    """Whether the test clips have labels."""

    def prepare(self) -> None:
        self.clips = [(_CLASSES[index % 3], _SPLITS[index // 3], index) for index in range(18)]
        self.root, self.files = self.folder / "root", self.folder / "root" / "annotations"
        (self.folder / "outside").mkdir()
        (self.folder / "outside" / "secret.avi").touch()

    @abc.abstractmethod
    def sound(self) -> dict[str, str]:
        """Sound annotation files, by name."""

    @abc.abstractmethod
    def video(self, label: str, index: int) -> str:
        """Where the video of a clip lies."""

    def case(self, rng: random.Random) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.files.mkdir(parents=True)
        self._write_files(rng)
        self._write_videos(rng, self.root / "videos")
        root = self.root / ("annotations" if rng.random() < 0.02 else rng.choice((".", "videos")))
        made = make_manifest(
            self.layout,
            [self.files] if rng.random() < 0.8 else sorted(self.files.iterdir()),
            self.root / "videos",
            root,
            fold=rng.choice((None, 1, 2)) if self.folds else 1 if rng.random() < 0.02 else None,
            validation_as="test" if rng.random() < (0.02 if self.test_labels else 0.3) else "val",
            val_fraction=rng.choice((None, 0.0, 0.5)) if self.folds else None,
            seed=rng.randrange(3) if self.folds else None,
            drop_lost_classes=rng.random() < 0.5,
        )
        self._check(made.spans, root)

    def _check(self, spans: list[LabelledSpan], root: Path) -> None:
        ensure(len({span.path for span in spans}) == len(spans) > 0, "a video twice")
        for span in spans:
            path = root / span.path
            ensure(".." not in PurePosixPath(span.path).parts and path.is_file(), "no video")
            ensure(path.resolve().is_relative_to(root.resolve()), "a video outside")
            ensure(span.split in ("train", "val", "test"), "a split")
        ensure({"train"} <= {span.split for span in spans}, "nothing to train on")
        write_manifest(root / "made.csv", spans)
        ensure(read_manifest(root / "made.csv") == Listing(spans=spans), "a manifest that is read otherwise")

    def _write_files(self, rng: random.Random) -> None:
        files = self.sound()
        damaged = rng.choice((*files, ""))
        for name, text in files.items():
            content = text.encode()
            if name == damaged:
                content = self._damage(rng, name, text)
                if rng.random() < 0.04:
                    continue
                if rng.random() < 0.08:
                    name = rng.choice(_NAMES)
            (self.files / name).write_bytes(content)

    def _damage(self, rng: random.Random, name: str, text: str) -> bytes:
        if rng.random() < 0.35:
            return mutate_bytes(rng, text.encode())
        if name.endswith(".json"):
            return damaged_json(rng, json.loads(text))
        lines = text.splitlines()
        for _ in range(rng.choice((1, 1, 2))):
            at, mark = rng.randrange(len(lines)), rng.choice(" ,;/")
            cells = lines[at].split(mark)
            cells[rng.randrange(len(cells))] = rng.choice(_CELLS)
            lines[at] = mark.join(cells)
        if rng.random() < 0.2:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
        mark = rng.choice(("", "", "\ufeff"))
        return (mark + rng.choice(("\n", "\n", "\r\n", "\r")).join(lines)).encode(errors="surrogatepass")

    def _write_videos(self, rng: random.Random, folder: Path) -> None:
        folder.mkdir()
        lost = rng.choice((0, 0, 0.1, 0.6))
        for label, _, index in self.clips:
            path = folder / self.video(label, index)
            if rng.random() < lost:
                continue
            if rng.random() < 0.05:
                path = folder / rng.choice(("test", "a/b/c/d/e", "ü", "x\ny")) / path.name
            if rng.random() < 0.05:
                path = path.with_suffix(rng.choice((".webm", ".txt", "", ".MP4")))
            path.parent.mkdir(parents=True, exist_ok=True)
            for one in (path, path.with_suffix(".avi")) if rng.random() < 0.02 else (path,):
                if os.path.lexists(one):
                    continue
                if rng.random() < 0.97:
                    one.touch()
                else:
                    one.symlink_to(rng.choice(_LINKS))


class Hmdb51(AnnotatedSet):
    name = "HMDB51's files"
    layout, folds, test_labels = "hmdb51", True, True

    def sound(self) -> dict[str, str]:
        files = {}
        for label in _CLASSES:
            mine = [(split, index) for other, split, index in self.clips if other == label]
            for fold in (1, 2):
                told = {"train": 1, "val": 1, "test": 2 if fold == 1 else 0}
                lines = [f"{PurePosixPath(self.video(label, index)).name} {told[split]} \n" for split, index in mine]
                files[f"{label}_test_split{fold}.txt"] = "".join(lines)
        return files

    def video(self, label: str, index: int) -> str:
        return f"{label}/film_{index % 4}_{label}_f_cm_np1_fr_goo_{index}.avi"


class Ucf101(AnnotatedSet):
    name = "UCF101's files"
    layout, folds, test_labels = "ucf101", True, True

    def sound(self) -> dict[str, str]:
        files = {"classInd.txt": "".join(f"{n} {label}\r\n" for n, label in enumerate(_CLASSES, start=1))}
        for split in ("train", "test"):
            lines = []
            for label, drawn, index in self.clips:
                if (drawn == "test") == (split == "test"):
                    number = f" {_CLASSES.index(label) + 1}" if split == "train" else ""
                    lines.append(f"{self.video(label, index)}{number}\r\n")
            files[f"{split}list01.txt"] = files[f"{split}list02.txt"] = "".join(lines)
        return files

    def video(self, label: str, index: int) -> str:
        return f"{label}/v_{label}_g{index // 2:02d}_c{index:02d}.avi"


class Kinetics(AnnotatedSet):
    name = "Kinetics' files"
    layout, test_labels = "kinetics", True

    def sound(self) -> dict[str, str]:
        files = {}
        for split in ("train", "val", "test"):
            lines = ["label,youtube_id,time_start,time_end,split,is_cc\n"]
            for label, drawn, index in self.clips:
                if drawn == split:
                    lines.append(f'"{label}",-aB_{index:07d},{index},{index + 10},{split},0\n')
            files[f"{split}.csv"] = "".join(lines)
        return files

    def video(self, label: str, index: int) -> str:
        return f"{label}/-aB_{index:07d}_{index:06d}_{index + 10:06d}.mp4"


class SomethingSomething(AnnotatedSet):
    name = "Something-Something's files"
    layout = "something-v2"

    def sound(self) -> dict[str, str]:
        files = {"labels.json": json.dumps({f"{label} something": str(n) for n, label in enumerate(_CLASSES)})}
        for split in ("train", "validation"):
            entries = []
            for label, drawn, index in self.clips:
                if drawn != "test" and (drawn == "val") == (split == "validation"):
                    told = {"label": f"{label} a cup", "template": f"{label} [something]", "placeholders": ["a cup"]}
                    entries.append({"id": str(index + 100), **told})
            files[f"{split}.json"] = json.dumps(entries)
        files["test.json"] = json.dumps([{"id": str(index + 100)} for _, split, index in self.clips if split == "test"])
        return files

    def video(self, label: str, index: int) -> str:
        return f"{index + 100}.webm"


class Jester(AnnotatedSet):
    name = "Jester's files"
    layout = "jester"

    def sound(self) -> dict[str, str]:
        files = {"jester-v1-labels.csv": "".join(f"{label}\n" for label in _CLASSES)}
        for split, word in (("train", "train"), ("val", "validation"), ("test", "test")):
            lines = []
            for label, drawn, index in self.clips:
                if drawn == split:
                    lines.append(f"{index + 100}" + f";{label}" * (split != "test") + "\n")
            files[f"jester-v1-{word}.csv"] = "".join(lines)
        return files

    def video(self, label: str, index: int) -> str:
        return f"{index + 100}.mp4"


class Moments(AnnotatedSet):
    name = "Moments in Time's files"
    layout = "moments"

    def sound(self) -> dict[str, str]:
        named = {"TaiChi": "Tai+Chi"}
        files = {"moments_categories.txt": "".join(f"{named.get(one, one)},{n}\n" for n, one in enumerate(_CLASSES))}
        for split, word in (("train", "training"), ("val", "validation")):
            lines = []
            for label, drawn, index in self.clips:
                if drawn == split:
                    folder = named.get(label, label)
                    lines.append(f"{folder}/{PurePosixPath(self.video(label, index)).name},{folder},3,0\n")
            files[f"{word}Set.csv"] = "".join(lines)
        return files

    def video(self, label: str, index: int) -> str:
        return f"training/{'Tai Chi' if label == 'TaiChi' else label}/clip-{index // 3}_1.mp4"
