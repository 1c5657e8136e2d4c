"""Planted sets: the same every time, balanced, and their classes differ only in what the planted answer reads.

The proofs here train nothing: pixels that must be equal are compared, and what must be distributed alike in every class
is compared by means over classes.
"""

from collections import Counter
from typing import get_args

import numpy as np
import pytest

from tvnjax.data.planted import HELD_OUT, PlantedData, PlantedTask, draw_clip
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.sampling import area_resize

TASKS = get_args(PlantedTask)
STILL = {"static_shape", "fine_texture", "coarse_blobs", "one_block", "small_mark"}


def draw(task, clips, split="train"):
    """Returns labels [clips] and clips uint8 [clips, 16, 32, 32, 3]."""
    config = PlantedData(task=task)
    return np.arange(clips) % 4, np.stack([draw_clip(config, split, i) for i in range(clips)])


def separation(labels, features):
    """Returns how far the classes' means are apart, averaged over features, in units of what chance gives: about 1
    where every class has one distribution.

    Args:
      labels: int [n].
      features: [n, features].
    """
    means = np.stack([features[labels == label].mean(0) for label in range(4)])
    chance = features.var(0) / (len(labels) / 4)
    return float((means.var(0, ddof=1) / np.maximum(chance, 1e-9)).mean())


def relation(clips, lag):
    """Returns linear statistics of how frames ``lag`` apart go together: their circular correlation at every shift, as
    float [n, shifts], from a window of frames in the middle."""
    grey = clips[:, 7 - lag // 2 :: lag][:, :2].astype(float).mean(-1)
    grey = grey - grey.mean((2, 3), keepdims=True)
    spectrum = np.fft.fft2(grey)
    correlation = np.fft.ifft2(spectrum[:, 0].conj() * spectrum[:, 1]).real
    return correlation.reshape(len(clips), -1)


@pytest.mark.parametrize("task", TASKS)
def test_clips_depend_on_seed_split_and_index_alone(task):
    config = PlantedData(task=task)
    clip = draw_clip(config, "train", 3)
    assert clip.shape == (16, 32, 32, 3) and clip.dtype == np.uint8
    assert np.array_equal(clip, draw_clip(PlantedData(task=task, train_clips=40), "train", 3))
    for other in (
        draw_clip(config, "train", 7),
        draw_clip(config, "test", 3),
        draw_clip(PlantedData(task=task, seed=1), "train", 3),
    ):
        assert not np.array_equal(clip, other)


@pytest.mark.parametrize("task", TASKS)
def test_classes_are_balanced_and_no_level_is_cut_off(task):
    config = PlantedData(task=task, train_clips=41, val_clips=8, test_clips=8, size=16, num_frames=9)
    recipe = config.recipe(num_frames=2, frame_stride=8, image_size=16)
    assert len(recipe.class_names) == len(set(recipe.class_names)) == 4 and not recipe.flip
    clips = list(recipe.read("train"))
    counts = Counter(clip.label for clip in clips)
    assert sorted(counts.values()) == [10, 10, 10, 11]
    assert {clip.pixels.shape for clip in clips} == {(9, 16, 16, 3)}
    # Levels wrap round in uint8, so one outside 0 to 255 would be far from its neighbours in value: none comes near.
    _, drawn = draw(task, 60)
    assert drawn.min() > 2 and drawn.max() < 254


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_values_of_shape_genes(task):
    answer = PlantedData(task=task).answer
    space = {
        "image_size": {8, 16, 32},
        "num_frames": {1, 2, 4, 8},
        "frame_stride": {1, 2, 4, 8},
        "num_blocks": {1, 2, 3},
    }
    assert answer and all(set(values) < space[gene] for gene, values in answer.items())
    assert set(HELD_OUT) < set(TASKS)


@pytest.mark.parametrize("task", sorted(STILL))
def test_still_sets_repeat_one_picture(task):
    _, clips = draw(task, 8)
    assert (clips == clips[:, :1]).all()


@pytest.mark.parametrize("task", ["motion_direction", "slow_motion", "fast_oscillation", "appearing"])
def test_one_frame_says_nothing_where_more_are_the_answer(task):
    labels, clips = draw(task, 800)
    for t in (0, 7, 15):
        # Pixels, their spatial frequencies, and the contrast of each colour (3 numbers, so a looser bound).
        frames = area_resize(clips[:, t : t + 1], 8)[:, 0].astype(float)
        assert separation(labels, frames.reshape(800, -1)) < 1.35
        spectrum = np.abs(np.fft.fft2(frames.mean(-1) - frames.mean((1, 2, 3))[:, None, None])) ** 2
        assert separation(labels, spectrum.reshape(800, -1)[:, 1:]) < 1.8
        assert separation(labels, frames.reshape(800, -1, 3).std(1)) < 4
    wild = clips[:, 7].astype(float).reshape(800, -1) + 20 * labels[:, None]
    assert separation(labels, wild) > 10, "the measure sees what is there"


@pytest.mark.parametrize(
    ("task", "visible", "hidden"),
    [("motion_direction", (1, 2, 4, 8), ()), ("slow_motion", (8,), (1, 2, 3, 4, 5, 6, 7))],
)
def test_drifts_show_between_frames_as_far_apart_as_the_answer_says(task, visible, hidden):
    labels, clips = draw(task, 400)
    for lag in visible:
        assert separation(labels, relation(clips, lag)) > 5, lag
    for lag in hidden:
        assert separation(labels, relation(clips, lag)) < 1.5, lag


def test_windows_of_the_answer_reach_eight_frames_and_others_do_not():
    # Frames up to 7 apart are unrelated (tested above and below), so a window of 8 is of no use.
    for task in ("slow_motion", "appearing"):
        answer = PlantedData(task=task).answer
        assert {(2, 8), (4, 4)} == {
            (frames, stride)
            for frames in answer["num_frames"]
            for stride in answer["frame_stride"]
            if 8 < (frames - 1) * stride + 1 <= 16
        }


def test_frames_an_even_number_apart_are_the_same_in_every_class_of_the_oscillation(monkeypatch):
    from tvnjax.data import planted_scenes

    monkeypatch.setattr(planted_scenes, "_noise", lambda rng, shape, std: np.zeros(shape, int))
    clips = [planted_scenes.fast_oscillation(np.random.default_rng(5), label, 16, 32) for label in range(4)]
    for other in clips[1:]:
        for stride in (2, 4, 8):
            assert np.array_equal(clips[0][::stride], other[::stride])
        assert not np.array_equal(clips[0][:2], other[:2])
    assert not np.array_equal(clips[0][0], clips[0][2])
    assert np.array_equal(clips[0][0], clips[0][4])
    # A window may start at any frame: every phase is as likely as another there too, with noise as it is drawn.
    monkeypatch.undo()
    labels, noisy = draw("fast_oscillation", 400)
    assert separation(labels, relation(noisy, 1)) > 10
    for lag in (2, 4, 6, 8):
        assert separation(labels, relation(noisy, lag)) < 2.0, lag


@pytest.mark.parametrize("task", ["fine_texture", "small_mark"])
@pytest.mark.parametrize("size", [8, 16])
def test_averaging_leaves_nothing_of_fine_detail(task, size, monkeypatch):
    from tvnjax.data import planted_scenes

    monkeypatch.setattr(planted_scenes, "_noise", lambda rng, shape, std: np.zeros(shape, int))
    whole = [planted_scenes.SCENES[task][0](np.random.default_rng(5), label, 1, 32) for label in range(4)]
    images = [area_resize(scene.astype(np.uint8), size) for scene in whole]
    if task == "fine_texture":
        for scene, image in zip(whole, images):
            assert (image == image[:, :1, :1]).all() and np.allclose(image.mean((1, 2)), scene.mean((1, 2)))
    assert not any(np.array_equal(whole[0], scene) for scene in whole[1:])
    assert all(np.array_equal(images[0], image) for image in images[1:])


def test_the_coarse_picture_holds_all_of_the_coarse_set(monkeypatch):
    from tvnjax.data import planted_scenes

    monkeypatch.setattr(planted_scenes, "_noise", lambda rng, shape, std: np.zeros(shape, int))
    for label in range(4):
        scene = planted_scenes.coarse_blobs(np.random.default_rng(label), label, 1, 32).astype(np.uint8)
        coarse = area_resize(scene, 8)
        assert np.array_equal(np.repeat(np.repeat(coarse, 4, 1), 4, 2), scene)
        assert len(np.unique(coarse)) == 2 and np.ptp(coarse.mean((1, 2, 3))) == 0


def test_the_mean_colour_decides_the_one_block_set():
    labels, clips = draw("one_block", 200)
    colour = clips[:, 0].astype(float).mean((1, 2))
    tint = colour - colour.mean(1, keepdims=True)
    # The grey class is the one whose largest channel stands out little: a threshold on a linear function of the colour.
    seen = np.where(tint.max(1) > 7, tint.argmax(1), 3)
    assert (seen == labels).mean() == 1


def test_lights_turn_after_eight_frames_as_the_class_says():
    labels, clips = draw("appearing", 200)
    lit = clips[:, :, :, :, [0, 2]].astype(float).mean((2, 3))  # [n, t, lights]
    turned = (np.abs(lit[:, 8:] - lit[:, :8]) > 10).all(1)
    assert (turned[:, 0] + 2 * turned[:, 1] == labels).all()
    half = (lit[:, 4:12] - lit[:, 4:12].mean((0, 1))).reshape(200, 16)
    pairs = (half[:, :, None] * half[:, None]).reshape(200, -1)
    assert separation(labels, pairs) < 1.5
    across = ((lit[:, :8] - lit.mean((0, 1))) * (lit[:, 8:] - lit.mean((0, 1)))).reshape(200, -1)
    assert separation(labels, across) > 5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "motoin_direction"}, ["'motoin_direction'", "did you mean 'motion_direction'"]),
        ({"train_clips": 3}, ["train_clips", "4 classes", "3"]),
        ({"size": 8}, ["size", "16", "8"]),
        ({"size": 36}, ["multiple of 8", "36"]),
        ({"num_frames": 0}, ["num_frames", "0"]),
        ({"seed": -1}, ["seed", "-1"]),
    ],
)
def test_fields_out_of_range_are_refused(fields, words, refused):
    refused(lambda: PlantedData(**fields), *words)


def test_more_than_is_drawn_is_refused(refused):
    asked = {"num_frames": 2, "frame_stride": 8, "image_size": 32}
    assert PlantedData().recipe(**asked).window == 16
    refused(lambda: PlantedData().recipe(**asked | {"frame_stride": 16}), "17 frames", "--data.num-frames")
    refused(lambda: PlantedData().recipe(**asked | {"image_size": 64}), "64", "--data.size")


def test_sets_of_the_same_size_have_different_fingerprints():
    asked = {"num_frames": 2, "frame_stride": 1, "image_size": 16}
    configs = [PlantedData(task=task) for task in TASKS] + [PlantedData(seed=1), ProceduralData()]
    assert len({config.recipe(**asked).fingerprint for config in configs}) == len(configs)
