"""Whether a network is scored on clips it was trained on."""

import warnings

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.clips import ClipSet
from tvnjax.data.contents import read_origins, shared
from tvnjax.training.saved import CLIPS_FILE, SavedNetwork


def check_unseen(saved: SavedNetwork, clips: ClipSet, split: str, *, allowed: bool) -> None:
    """Says how many clips of a split a network was trained on, by the content of their videos.

    Args:
        allowed: a split that has some is scored all the same. One that was itself trained on always is.

    Raises:
        InvalidInputError: it was trained on clips of this split, though on no split of this name.
    """
    trained_on, run = saved.trained.trained_on.split("+"), saved.weights.absolute().parent.parent
    named = sorted(set(split.split("+")) & set(trained_on))
    if named:
        warnings.warn(
            f"{saved.entry.name} was trained on the split {'+'.join(named)}: its accuracy there says little of others",
            stacklevel=2,
        )
        return
    if not (run / CLIPS_FILE).is_file():
        return
    before = read_origins(run / CLIPS_FILE)
    seen = shared(clips.origins(split), [clip for part in trained_on for clip in before.get(part, [])])
    if not seen:
        return
    count = f"{len(seen):,} of the {len(clips.origins(split)):,} clips of {split} (first {seen[0]!r:.100})"
    if not allowed:
        raise InvalidInputError(
            f"a network is scored on clips it was not trained on; {saved.entry.name} was trained on {count}: leave "
            "--data and the options of the split out to have the split of its training, or say --allow-trained"
        )
    warnings.warn(f"{saved.entry.name} was trained on {count}", stacklevel=2)
