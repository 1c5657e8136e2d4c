"""Checkpoints under test: the files Orbax writes about them, damaged."""

import random
import shutil

import numpy as np

from experiments.reliability.mutations import mutate_bytes
from experiments.reliability.reader import Reader, ensure, quiet
from tvnjax.core.checkpoint import load_tree, save_tree, stored_shapes


class Checkpoints(Reader):
    """``stored_shapes`` and ``load_tree`` of a folder in which one file is damaged, lost or empty."""

    name = "checkpoints"

    def prepare(self) -> None:
        self.tree = {"kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "step": np.int32(7)}
        with quiet():
            save_tree(self.folder / "sound", self.tree)
        sound = self.folder / "sound"
        self.files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file())

    def case(self, rng: random.Random) -> None:
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder / "sound", copy)
        path = copy / rng.choice(self.files)
        match rng.randrange(8):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(b"")
            case _:
                path.write_bytes(mutate_bytes(rng, path.read_bytes()))
        with quiet():
            if rng.random() < 0.5:
                sizes = [size for shape in stored_shapes(copy).values() for size in shape]
                ensure(all(isinstance(size, int) and size >= 0 for size in sizes), "a shape")
            else:
                loaded = load_tree(copy, self.tree)
                ensure(all(np.array_equal(loaded[name], array) for name, array in self.tree.items()), "other numbers")
