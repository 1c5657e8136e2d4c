"""What a run goes on from, under test: descriptions of checkpoints, and journals, damaged."""

import random
import shutil

import numpy as np

from experiments.reliability.mutations import mutate_bytes
from experiments.reliability.reader import Reader, ensure, quiet
from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.journal import Journal


class Places(Reader):
    """``Checkpoints.newest`` of two, one of which has a damaged file: never other numbers than were written."""

    name = "places to go on from"

    def prepare(self) -> None:
        self.trees = {step: {"kernel": np.full((2, 3), step, np.float32)} for step in (3, 5)}
        checkpoints = Checkpoints(self.folder / "sound", every_s=0)
        for step, tree in self.trees.items():
            with quiet():
                checkpoints.remember(step, tree, {"position": {"next": step}})
                checkpoints.flush()
        checkpoints.close()
        self.files = sorted(p.relative_to(self.folder / "sound") for p in (self.folder / "sound").rglob("*.json"))
        self.files += sorted(
            p.relative_to(self.folder / "sound")
            for p in (self.folder / "sound").rglob("*")
            if p.is_file() and p.suffix != ".json"
        )

    def case(self, rng: random.Random) -> str | None:
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder / "sound", copy)
        path = copy / rng.choice(self.files)
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
        with quiet():
            saved = Checkpoints(copy).newest(self.trees[3])
        assert saved is not None, "one of the two is sound"
        ensure(saved.step in self.trees and saved.state == {"position": {"next": saved.step}}, "another place")
        ensure(np.array_equal(saved.tree["kernel"], self.trees[saved.step]["kernel"]), "other numbers")
        return None if saved.step == 5 else "fell back"


class Journals(Reader):
    """A damaged ``Journal``: what it recalls is the beginning of what was written."""

    name = "journals"

    def prepare(self) -> None:
        journal = Journal(self.folder / "sound.jsonl")
        self.entries = [("train", f"{n:x}", {"top1": n / 8, "latency_ms": None}) for n in range(6)]
        for entry in self.entries:
            journal.add(*entry)
        journal.close()
        self.text = (self.folder / "sound.jsonl").read_bytes()

    def case(self, rng: random.Random) -> str | None:
        path = self.folder / "damaged.jsonl"
        path.write_bytes(mutate_bytes(rng, self.text))
        with quiet():
            journal = Journal(path)
        recalled = 0
        while journal.replaying:
            op, key, value = self.entries[recalled]
            ensure(journal.recall(op, key) == value, "another value")
            recalled += 1
        return None if recalled == len(self.entries) else "shortened"
