"""How much may be skipped, to the clip, and in which words it is said."""

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.clips import _check_skipped, _reasons
from tvnjax.data.recipe import Recipe, SkippedClip


def recipe(max_skipped, required=("train", "val", "test"), **planned):
    return Recipe(
        name="set",
        class_names=("x",),
        fingerprint="0",
        frames=1,
        window=1,
        size=1,
        shift=0,
        flip=False,
        planned={"train": 0, "val": 0, "test": 0} | planned,
        read=lambda split: iter(()),
        required=required,
        max_skipped=max_skipped,
    )


def lost(count, reason="no such file", split="train"):
    return tuple(SkippedClip(path=f"{split}{i}.mp4", reason=reason, label="x", split=split) for i in range(count))


def allowed(recipe, skipped):
    try:
        _check_skipped(recipe, skipped)
    except InvalidInputError:
        return False
    return True


@pytest.mark.parametrize("percent", range(101))
def test_a_share_is_allowed_to_the_clip(percent):
    """29 of 100 are 0.29, whatever 0.29 * 100 is in floating point."""
    asked = recipe(percent / 100, train=100)
    assert allowed(asked, lost(percent)) and (percent == 100 or not allowed(asked, lost(percent + 1)))


def test_none_may_be_lost_where_none_is_allowed_and_any_where_all_are():
    assert allowed(recipe(0, train=10**6), ()) and not allowed(recipe(0, train=10**6), lost(1))
    assert allowed(recipe(1, train=3), lost(3)) and allowed(recipe(0.05, train=20), lost(1))
    assert not allowed(recipe(0.05, train=19), lost(1))


def test_splits_nobody_asked_for_do_not_count():
    scored = recipe(0.05, required=("test",), train=50, test=40)
    assert allowed(scored, lost(50)) and allowed(scored, lost(50) + lost(2, split="test"))
    with pytest.raises(InvalidInputError, match=r"but 3 of 40 \(7\.5%\) were: 3 no such file \(as 'test0\.mp4'\)"):
        _check_skipped(scored, lost(50) + lost(3, split="test"))


def test_reasons_are_counted_by_kind_and_names_hide_nothing():
    many = (
        *lost(2),
        *(clip for n in range(7) for clip in lost(1, f"cannot be decoded after frame {n}: moov atom not found", "val")),
        *(clip for kind in "abcdef" for clip in lost(1, f"reason {kind}", "test")),
    )
    told = _reasons(many)
    assert told.startswith("7 cannot be decoded after frame 0: moov atom not found (as 'val0.mp4'); 2 no such file")
    assert "3 for other reasons; by split: 2 train, 7 val, 6 test" in told
    hidden = SkippedClip(path="a\x1b[2J\n.mp4", reason="x" * 5000, label="x", split="train")
    assert "\x1b" not in _reasons([hidden]) and "\n" not in _reasons([hidden]) and len(_reasons([hidden])) < 400
