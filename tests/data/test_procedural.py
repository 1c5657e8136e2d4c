"""Drawn clips: the same every time, and their labels say what can be seen in them."""

from collections import Counter

import numpy as np
import pytest

from tvnjax.data.procedural import ProceduralData, draw_clip


def foreground(clip):
    """Returns float [t, h, w]: what differs from the still background, found without knowing how clips are drawn."""
    grey = clip.astype(float).mean(-1)
    moving = np.abs(grey - np.median(grey, axis=0))
    return np.where(moving > 25, moving, 0)


def seen_direction(clip):
    """Reads the direction off the circular cross-correlation of frames three apart."""
    spectrum = np.fft.fft2(foreground(clip))
    correlation = np.fft.ifft2((spectrum[3:] * spectrum[:-3].conj()).sum(0)).real
    dy, dx = np.unravel_index(correlation.argmax(), correlation.shape)
    side = clip.shape[1]
    dy, dx = ((d + side // 2) % side - side // 2 for d in (dy, dx))
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def circular_centre(image):
    """Returns (y, x) of the mass of a wrapped image."""
    side = len(image)
    turn = np.exp(2j * np.pi * np.arange(side) / side)
    return [float(np.angle((image.sum(axis) * turn).sum()) % (2 * np.pi) / (2 * np.pi) * side) for axis in (1, 0)]


def labelled(config, split, clips):
    names = config.class_names
    return [(draw_clip(config, split, i), names[i % len(names)]) for i in range(clips)]


def test_clips_depend_on_seed_split_and_index_alone():
    config = ProceduralData(train_clips=16)
    clip = draw_clip(config, "train", 3)
    assert clip.shape == (16, 32, 32, 3) and clip.dtype == np.uint8
    assert np.array_equal(clip, draw_clip(ProceduralData(train_clips=99), "train", 3))
    for other in (
        draw_clip(config, "train", 11),
        draw_clip(config, "test", 3),
        draw_clip(ProceduralData(seed=1), "train", 3),
    ):
        assert not np.array_equal(clip, other)


def test_labels_name_the_direction_that_is_seen():
    clips = labelled(ProceduralData(task="motion_shape"), "train", 160)
    right = sum(seen_direction(clip) == name.split()[0] for clip, name in clips)
    assert right >= 157
    # Played backwards the same frames show the opposite: the label is in the order, not in the frames.
    opposite = {"right": "left", "left": "right", "up": "down", "down": "up"}
    backwards = sum(seen_direction(clip[::-1]) == opposite[name.split()[0]] for clip, name in clips)
    assert backwards >= 157


def test_single_frames_say_nothing_about_the_direction():
    # Wherever the shape starts, in every frame it is as likely to be in one quarter of the picture as in another.
    found = {name: Counter() for name in ProceduralData(task="motion").class_names}
    for clip, name in labelled(ProceduralData(task="motion", num_frames=8), "train", 480):
        for t in (0, 7):
            y, x = circular_centre(foreground(clip)[t])
            found[name][t, y < 16, x < 16] += 1
    shares = [count / 120 for quarters in found.values() for count in quarters.values()]
    assert len(shares) == 4 * 2 * 4
    assert min(shares) > 0.11 and max(shares) < 0.39  # 0.25, and 3.5 standard deviations


def test_labels_name_the_shape_and_its_texture():
    # A cross reaches further out than a disc of the same area; a texture leaves part of the shape faint.
    reach, ink = {}, {}
    config = ProceduralData(task="motion_shape_texture", num_frames=16)
    for clip, name in labelled(config, "train", 240):
        _, shape, texture = name.split()
        moving = foreground(clip)[8]
        y, x = circular_centre(moving)
        offsets = (np.arange(32)[:, None] - np.array([y, x]) + 16) % 32 - 16
        radius = np.hypot(offsets[:, None, 0], offsets[None, :, 1])
        spread = (radius**2 * (moving > 0)).sum() / (moving > 0).sum() / (moving > 0).sum()
        if texture == "plain":
            reach.setdefault(shape, []).append(spread)
        if shape == "disc":
            ink.setdefault(texture, []).append((moving > 0).sum())
    assert np.median(reach["cross"]) > 1.15 * np.median(reach["disc"])
    assert np.median(ink["plain"]) > 1.3 * max(np.median(ink["striped"]), np.median(ink["checked"]))


@pytest.mark.parametrize(("task", "classes"), [("motion", 4), ("shape", 2), ("texture", 3), ("motion_shape", 8)])
def test_classes_are_balanced(task, classes):
    config = ProceduralData(task=task, train_clips=41, val_clips=24, test_clips=24, size=16, num_frames=2)
    recipe = config.recipe(num_frames=2, frame_stride=1, image_size=16)
    assert len(recipe.class_names) == classes == len(set(recipe.class_names))
    counts = Counter(clip.label for clip in recipe.read("train"))
    assert len(counts) == classes and max(counts.values()) - min(counts.values()) <= 1
    assert not recipe.flip  # left must not become right


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "motoin"}, ["'motoin'", "did you mean 'motion'"]),
        ({"train_clips": 7}, ["train_clips", "8 classes", "7"]),
        ({"val_clips": 0}, ["val_clips", "0"]),
        ({"size": 8}, ["size", "16", "8"]),
        ({"num_frames": 0}, ["num_frames", "0"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"test_clips": 8.5}, ["test_clips", "8.5"]),
    ],
)
def test_fields_out_of_range_are_refused(fields, words, refused):
    refused(lambda: ProceduralData(**fields), *words)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"num_frames": 17}, ["17 frames", "16", "--data.num-frames"]),
        ({"num_frames": 8, "frame_stride": 3}, ["22 frames", "--data.num-frames"]),
        ({"image_size": 64}, ["64", "32", "--data.size"]),
        ({"num_frames": 0}, ["num_frames", "0"]),
        ({"frame_stride": True}, ["frame_stride", "True"]),
    ],
)
def test_more_than_is_drawn_is_refused(asked, words, refused):
    asked = {"num_frames": 8, "frame_stride": 1, "image_size": 32} | asked
    refused(lambda: ProceduralData().recipe(**asked), *words)
