"""Writes a set of clips once, as a TensorFlow Datasets directory of ArrayRecord files (TensorFlow is not needed)."""

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.waiting import taking_turns
from tvnjax.data.contents import is_whole, write_contents
from tvnjax.data.recipe import SPLITS, Recipe, SkippedClip

Progress = Callable[[int, int, str], None]


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

    @property
    def fingerprint(self) -> str:
        return self._recipe.fingerprint

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

    They are written beside the final directory, which is only named at the end: an interrupted build leaves none.

    Raises:
      InvalidInputError: see :class:`tvnjax.data.recipe.ClipSource`; or ``cache_dir`` cannot be written to.
    """
    data_dir = cache_dir / f"{recipe.name}-{recipe.fingerprint[:16]}"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        builder = Clips(recipe, data_dir=data_dir, progress=progress)
        if not _complete(builder):
            with _alone(data_dir):
                # Another process may have built them while this one waited.
                builder = Clips(recipe, data_dir=data_dir, progress=progress)
                if not _complete(builder):
                    _write(builder)
                    write_contents(Path(builder.data_path), recipe.fingerprint, builder.origins)
    except InvalidInputError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) or _no_room(error)):
            raise
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise InvalidInputError(
            f"clips are kept below {str(cache_dir)!r}, which cannot be written to ({reason:.200}); make room there, or "
            "set TVNJAX_CACHE to a folder of yours"
        ) from None
    summary: Any = builder.info.metadata  # of this build, or read back from an earlier one
    return Path(builder.data_path), dict(summary)


def _write(builder: Clips) -> None:
    damaged = Path(builder.data_path).exists()
    mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS if damaged else tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
    tfds.disable_progress_bar()
    try:
        config = tfds.download.DownloadConfig(download_mode=mode, try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    finally:
        tfds.enable_progress_bar()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process builds a set while others wait for it; what killed builds left half written is removed."""
    with taking_turns(folder):
        for left in folder.rglob("*incomplete.*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _no_room(error: Exception) -> bool:
    """Whether ArrayRecord, which has errors of its own for what the system refuses, could not write."""
    text = str(error).lower()
    return isinstance(error, RuntimeError | ValueError) and any(
        word in text for word in ("no space left", "file too large", "resource_exhausted", "quota", "errno", "write")
    )


def _complete(builder: Clips) -> bool:
    if not Path(builder.data_path).is_dir():
        return False
    summary: Any = builder.info.metadata
    splits = [split for split, counts in summary["counts"].items() if any(counts)]
    if not splits or set(builder.info.splits) != set(splits):
        return False
    return is_whole(Path(builder.data_path), builder.fingerprint)
