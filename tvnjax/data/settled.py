"""From what the input names to what is built: one name per file, one split and one label per span, or a refusal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.files import one_name_each
from tvnjax.data.leaks import check_rows
from tvnjax.data.manifest import LabelledSpan, Listing
from tvnjax.data.naming import check_labels, composed, note
from tvnjax.data.recipe import SPLITS
from tvnjax.data.splits import assign_splits


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Spans as they are built."""

    spans: list[LabelledSpan]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def settle(
    root: Path,
    listing: Listing,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    classes: tuple[str, ...] | None = None,
    required: tuple[str, ...] = SPLITS,
) -> Settled:
    """Checks what a manifest or a folder names, and assigns the splits it does not name.

    Args:
      root: the folder that paths are relative to.
      classes: the classes of a trained network, in its order; None: those of the input, sorted.
      required: the splits that must have clips.

    Raises:
      InvalidInputError: a rule of :func:`tvnjax.data.files.one_name_each`,
        :func:`tvnjax.data.naming.check_labels`, :func:`tvnjax.data.splits.assign_splits` or
        :func:`tvnjax.data.leaks.check_rows` is broken, or a label is none of ``classes``.
    """
    spans, notes = one_name_each(root, listing.spans)
    notes += check_labels(span.label for span in spans)
    if classes is not None:
        spans = _of_classes(spans, classes)
    spans = assign_splits(
        spans,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        seed=seed,
        required=required,
        any_classes=classes is not None,
    )
    notes += check_rows(spans)
    names = tuple(sorted({span.label for span in spans})) if classes is None else classes
    notes += _missing(spans, names)
    return Settled(spans=spans, class_names=names, notes=(*listing.notes, *notes))


def _of_classes(spans: Sequence[LabelledSpan], classes: tuple[str, ...]) -> list[LabelledSpan]:
    known = {composed(name): name for name in classes}
    other = Counter(span.label for span in spans if composed(span.label) not in known)
    if other:
        label = min(other)
        path = next(span.path for span in spans if span.label == label)
        shown = ", ".join(map(repr, classes[:4])) + (", ..." if len(classes) > 4 else "")
        raise InvalidInputError(
            f"each label must be one of the network's {len(classes)} classes ({shown:.300}), but {other.total()} clips "
            f"have other labels, such as {label!r} of {path!r:.100}{did_you_mean(label, classes)}; rename those "
            "labels, remove those clips, or train the network on these classes first (tvnjax train --init)"
        )
    return [replace(span, label=known[composed(span.label)]) for span in spans]


def _missing(spans: Sequence[LabelledSpan], class_names: tuple[str, ...]) -> list[str]:
    here = {(span.split, span.label) for span in spans}
    notes = []
    for split in SPLITS:
        missing = [name for name in class_names if (split, name) not in here]
        if 0 < len(missing) < len(class_names):
            what = f"classes, of {len(class_names):,}, without a clip in the {split} split"
            notes.append(note(what, len(missing), repr(missing[0])))
    return notes
