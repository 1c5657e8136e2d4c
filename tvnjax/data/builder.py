"""Writes a set of clips once, as a TensorFlow Datasets directory of ArrayRecord files (TensorFlow is not needed)."""

import contextlib
import itertools
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tvnjax.core.environment import unwritable
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.waiting import taking_turns
from tvnjax.data.contents import CONTENTS_FILE, is_whole, write_contents
from tvnjax.data.recipe import SPLITS, Progress, Recipe, SkippedClip


class Clips(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """One set of clips; what was skipped, widened or held is part of the dataset's metadata."""

    VERSION = tfds.core.Version("1.0.0")
    # Where TFDS looks for checksums of downloads, of which there are none; looking itself needs a package
    # (importlib_resources) that TFDS does not declare.
    code_path = None

    def __init__(self, recipe: Recipe, *, data_dir: Path, progress: Progress | None = None) -> None:
        self._recipe = recipe
        self._progress = progress
        self._done = 0
        self._summary = tfds.core.MetadataDict(widened=0, held=0, skipped=[], counts={})
        self.origins: dict[str, list[tuple[str, str]]] = {}
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        recipe = self._recipe
        clip_shape = (recipe.frames, recipe.size, recipe.size, 3)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Clips of {recipe.name}; fingerprint {recipe.fingerprint}.",
            features=tfds.features.FeaturesDict(
                {
                    # Bytes, not a list of numbers: a tenth of the size, and read at memory speed.
                    "clip": tfds.features.Tensor(shape=clip_shape, dtype=np.uint8, encoding="bytes"),
                    "label": tfds.features.ClassLabel(names=list(recipe.class_names)),
                    "name": tfds.features.Text(),
                    "span": tfds.features.Tensor(shape=(2,), dtype=np.int32),
                    "valid": tfds.features.Tensor(shape=(2,), dtype=np.int32),
                }
            ),
            metadata=self._summary,
            disable_shuffling=True,  # the loader shuffles; here the order of the input is kept
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        splits = {split: self._generate_examples(split) for split in SPLITS if self._recipe.planned[split]}
        for split in [split for split in splits if split not in self._recipe.required]:
            # TFDS cannot write a split without a clip, and whether a clip can be read is known when one was.
            if (first := next(splits[split], None)) is None:
                del splits[split]
            else:
                splits[split] = itertools.chain([first], splits[split])
        return splits

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        recipe = self._recipe
        counts = [0] * len(recipe.class_names)
        skipped: list[SkippedClip] = []
        for clip in recipe.read(split):
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, sum(recipe.planned.values()), "clips stored")
            if isinstance(clip, SkippedClip):
                skipped.append(clip)
                continue
            key = sum(counts)
            counts[clip.label] += 1
            self.origins.setdefault(split, []).append((clip.name, clip.origin))
            self._summary["widened"] += clip.widened
            self._summary["held"] += clip.held
            example = {"clip": clip.pixels, "label": clip.label, "name": clip.name}
            yield key, example | {"span": np.array(clip.span, np.int32), "valid": np.array(clip.valid, np.int32)}
        if not any(counts) and split in recipe.required:
            first = skipped[0]
            raise InvalidInputError(
                f"each split must keep a clip, but all {len(skipped)} of the {split} split were skipped "
                f"(first {first.path!r}: {first.reason}); repair or remove those videos"
            )
        self._summary["counts"][split] = counts
        self._summary["skipped"] += [vars(clip) for clip in skipped]

    # TFDS prints a paragraph about downloads around every build; nothing is downloaded, and progress is reported above.
    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass


def build(recipe: Recipe, cache_dir: Path, progress: Progress | None) -> tuple[Path, dict[str, Any]]:
    """Builds the clips below ``cache_dir`` unless they are there, and returns their directory and metadata.

    They are written beside the final directory, which is only named at the end: an interrupted build leaves none. One
    process builds a set while others wait for it. A set that is not as it was written is built again, with a warning.

    Raises:
      InvalidInputError: see :class:`tvnjax.data.recipe.ClipSource`; or ``cache_dir`` cannot be written to.
    """
    # By content: a data folder may have had another name when its clips were made.
    ending = f"-{recipe.fingerprint[:16]}"
    with _writing(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        data_dir = next(iter(sorted(cache_dir.glob(f"*{ending}"))), cache_dir / f"{recipe.name}{ending}")
        directory = data_dir / Clips.name / str(Clips.VERSION)
        if not is_whole(directory, recipe.fingerprint, progress):
            with taking_turns(data_dir, waiting=lambda: _wait(recipe, progress)):
                # Another process may have built them while this one waited.
                if not is_whole(directory, recipe.fingerprint, progress):
                    _build(recipe, data_dir, directory, progress)
        builder: Any = tfds.builder_from_directory(directory)
        return directory, dict(builder.info.metadata)


def _build(recipe: Recipe, data_dir: Path, directory: Path, progress: Progress | None) -> None:
    if (directory / CONTENTS_FILE).exists():
        warnings.warn(
            f"the clips in {directory} are not as they were written; they are made again from their source",
            stacklevel=4,
        )
    if directory.exists():
        shutil.rmtree(directory)
    for left in data_dir.rglob("*incomplete.*"):  # by builds that were killed
        shutil.rmtree(left, ignore_errors=True)
    builder = Clips(recipe, data_dir=data_dir, progress=progress)
    tfds.disable_progress_bar()
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    finally:
        tfds.enable_progress_bar()
    write_contents(directory, recipe.fingerprint, builder.origins)


def _wait(recipe: Recipe, progress: Progress | None) -> None:
    if progress is not None:
        progress(0, sum(recipe.planned.values()), "clips: waiting for another process that makes the same ones")


_FAILED = re.compile(r"\b\w+\(\) failed: ([^;]+)")
"""ArrayRecord's words, in a RuntimeError, for what the system refuses: ``write() failed: No space left on device``."""


@contextlib.contextmanager
def _writing(cache_dir: Path) -> Iterator[None]:
    """What the system refuses, by whichever exception, is one line."""
    try:
        yield
    except BrokenPipeError:
        raise  # of whoever hears of the progress
    except OSError as error:
        raise unwritable(cache_dir, "clips", error) from None
    except RuntimeError as error:
        failed = _FAILED.search(str(error))
        if failed is None:
            raise
        raise unwritable(cache_dir, "clips", failed[1]) from None
