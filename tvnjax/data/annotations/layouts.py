"""The sets whose annotation files can be read, and those whose clips have several labels and cannot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.annotations.clips import Annotations
from tvnjax.data.annotations.hmdb51 import read_hmdb51
from tvnjax.data.annotations.jester import read_jester
from tvnjax.data.annotations.kinetics import read_kinetics
from tvnjax.data.annotations.moments import read_moments
from tvnjax.data.annotations.something import read_something
from tvnjax.data.annotations.ucf101 import read_ucf101

Read = Callable[[Sequence[Path]], Annotations]
ReadFold = Callable[[Sequence[Path], int], Annotations]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one set is annotated."""

    files: str
    """What to give, for people."""
    read: Read | ReadFold
    folds: int = 0
    """Official divisions into training and test clips, of which one is read; 0: there is only one."""
    in_class_folders: bool = False
    """A video is only known by the folder of its class."""
    frame_folders: bool = False
    """Clips are published as folders of pictures, named as the clips are."""
    remedy: str = ""
    """What to do where videos are there in the form they are published in, and that cannot be read."""

    def annotations(self, files: Sequence[Path], fold: int | None) -> Annotations:
        """Reads the files.

        Raises:
          InvalidInputError: they break the layout, name no clip, or there is no such fold.
        """
        if self.folds and not 1 <= (1 if fold is None else fold) <= self.folds:
            raise InvalidInputError(f"the fold must be 1 to {self.folds}, got {fold}; choose one of them")
        if not self.folds and fold is not None:
            raise InvalidInputError("only hmdb51 and ucf101 come in folds, got a fold for another set; leave it out")
        if not files:
            raise InvalidInputError(f"annotation files must be given, got none; give {self.files}")
        read: Callable[..., Annotations] = self.read
        found = read(files, fold or 1) if self.folds else read(files)
        if not found.clips:
            unlabelled = found.left_out["without a label"]
            why = f"all {unlabelled:,} are without a label" if unlabelled else "they name none"
            raise InvalidInputError(f"the files must name labelled clips, but {why}; give {self.files}")
        return found


LAYOUTS = {
    "hmdb51": Layout(
        files="the folder of the files CLASS_test_splitN.txt, or those of one fold", read=read_hmdb51, folds=3
    ),
    "ucf101": Layout(
        files="the folder of classInd.txt, trainlist0N.txt and testlist0N.txt, or these three",
        read=read_ucf101,
        folds=3,
    ),
    "kinetics": Layout(
        files="the CSV files of training and validation clips (test too, where they have labels)",
        read=read_kinetics,
        remedy="videos named ID_START_END.mp4 (six digits each) are taken, whole ones named ID.mp4 are not: cut them",
    ),
    "something-v2": Layout(files="the JSON files of labels, training and validation clips", read=read_something),
    "jester": Layout(
        files="the CSV files of labels, training and validation clips",
        read=read_jester,
        frame_folders=True,
        remedy="make a video of each folder of pictures: ffmpeg -framerate 12 -i ID/%05d.jpg ID.mp4",
    ),
    "moments": Layout(
        files="moments_categories.txt, trainingSet.csv and validationSet.csv", read=read_moments, in_class_folders=True
    ),
}
"""By the name the command takes."""

MULTI_LABEL = {"charades": "Charades", "mlb-youtube": "MLB-YouTube"}


def find_layout(name: str) -> Layout:
    """The layout of a set.

    Raises:
      InvalidInputError: there is none of this name, or its clips have several labels.
    """
    if several := MULTI_LABEL.get(name.lower().replace("_", "-")):
        raise InvalidInputError(
            f"each clip must have one label, but those of {several} have several, which is not supported; "
            f"choose one of {', '.join(LAYOUTS)}"
        )
    if name not in LAYOUTS:
        raise InvalidInputError(
            f"a layout is one of {', '.join(LAYOUTS)}; got {name!r:.100}{did_you_mean(name, LAYOUTS)}"
        )
    return LAYOUTS[name]
