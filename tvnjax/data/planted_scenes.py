"""How the clips of ``tvnjax.data.planted`` are drawn, and why nothing but the planted answer tells their classes apart.

A scene is a function of ``(rng, label, frames, side)`` that returns whole levels, int [frames, side, side, 3], inside 0
to 255: nothing is rounded or clipped afterwards, which is what makes "the same distribution" hold exactly. Positions
wrap round at the edges.
"""

from collections.abc import Callable

import numpy as np

Scene = Callable[[np.random.Generator, int, int, int], np.ndarray]

DIRECTIONS = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0)}  # (y, x)
PERIOD = 8
"""Frames after which the shake and the lights repeat themselves: half a clip."""


def static_shape(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """One picture, noise included, in every frame: a second frame holds nothing that the first does not."""
    centre = rng.integers(0, side, 2)
    dy, dx = (np.abs(_wrapped(side, at)) for at in centre)
    dy, dx = dy[:, None] * 32 / side, dx[None, :] * 32 / side
    flat, upright = (dy <= 3) & (dx <= 12), (dx <= 3) & (dy <= 12)
    shape = (flat, upright, flat | upright, np.hypot(dy, dx) <= 8)[label]
    picture = rng.integers(60, 100) + rng.integers(70, 100) * shape[:, :, None] + _noise(rng, (side, side, 3), 6)
    return _still(picture, frames)


def motion_direction(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """Blobs that move by a pixel a frame. Where they start is uniform on the wrapped frame, so that each frame is
    distributed as every other, whatever the direction."""
    places = np.arange(frames)[:, None] * DIRECTIONS[tuple(DIRECTIONS)[label]]
    return _moving(rng, places, side)


def slow_motion(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """Blobs that drift by 4 pixels in 8 frames, under a shake that repeats itself every 8 frames.

    The shake puts the blobs anywhere on the wrapped frame. So frames at different places of its period are independent
    of each other given the blobs, and of the direction: any 8 neighbours, or 2 frames 4 apart, say nothing. Frames 8
    apart share their shake and differ by the drift alone. (Of 8 frames 2 apart, 3 unrelated ones lie within a pair.)
    """
    drift = 4 * (np.arange(frames) // PERIOD)[:, None] * DIRECTIONS[tuple(DIRECTIONS)[label]]
    shake = rng.integers(0, side, (PERIOD, 2))
    return _moving(rng, drift + shake[np.arange(frames) % PERIOD], side)


def fast_oscillation(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """Waves across and down that move by a quarter of their period a frame, each either way.

    Two frames on, each has moved by half a period whichever way it goes, and 4 or 8 frames on it is where it was: the
    pixels (before noise) are the same for every class. Two neighbours tell the ways apart.
    """
    period = side // 2
    ways = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])[label]
    phase = rng.integers(0, period, 2) + np.arange(frames)[:, None] * ways * (period // 4)  # [t, 2]
    # Taken out of one period, so that equal phases give equal levels.
    wave = np.rint(35 * np.cos(2 * np.pi * np.arange(period) / period)).astype(int)
    down, across = (wave[(np.arange(side) - phase[:, axis, None]) % period] for axis in (0, 1))  # [t, side]
    scene = rng.integers(110, 146) + down[:, :, None] + across[:, None, :]
    return scene[..., None] + _noise(rng, (frames, side, side, 3), 8)


def fine_texture(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """Stripes of one pixel, flat, upright or both (a checkerboard), or none. Each 2 x 2 pixels hold two that are
    brighter than the ground and two that are darker by as much: their sum is that of the ground."""
    y, x = np.ogrid[:side, :side]
    stripe = 1 - 2 * ((np.zeros((side, side), int) + (y, x, x + y, 0)[label] + rng.integers(2)) % 2)
    contrast = rng.integers(16, 28) * (label != 3)
    return _still(_ground(rng, side) + contrast * stripe[:, :, None] + _noise(rng, (side, side, 3), 10), frames)


def coarse_blobs(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """Wide stripes that are flat, upright or lean either way, cut into 8 x 8 even cells, under strong noise.

    The noise is independent and of equal strength, so the means over the cells, which are the picture at 8 pixels, hold
    all there is to know of the class (they are a sufficient statistic); a finer picture adds noise alone.
    """
    y, x = np.ogrid[:8, :8]
    phase = rng.integers(4)
    cells = (np.zeros((8, 8), int) + (y, x, x + y, x - y)[label] + phase) % 4 < 2  # period 4: none at an odd seam
    picture = np.kron(np.where(cells, 5, -5), np.ones((side // 8, side // 8), int))
    return _still(128 + picture[:, :, None] + _noise(rng, (side, side, 3), 38), frames)


def one_block(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """A tint (red, green, blue or none) of even grey under independent noise: the mean colour holds all there is to
    know, and the classes are the largest of linear functions of it, which a block, a mean and a dense layer compute."""
    tint = np.array([(20, 0, 0), (0, 20, 0), (0, 0, 20), (7, 7, 7)])[label]
    return _still(rng.integers(80, 150) + tint + _noise(rng, (side, side, 3), 24), frames)


def appearing(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """A red and a blue light, each on or off by chance in every frame; after 8 frames each does the same again, or the
    opposite, which is what the label says of each.

    Any 8 neighbours, and any frames no two of which are 8 apart, are on or off by chance alone.
    """
    opposite = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])[label]
    chance = rng.integers(0, 2, (PERIOD, 2))
    t = np.arange(frames)
    lit = (chance[t % PERIOD] + opposite * (t // PERIOD)[:, None]) % 2  # [t, 2]
    scene = np.full((frames, side, side, 3), rng.integers(60, 100))
    for light, channel in enumerate((0, 2)):
        dy, dx = (_wrapped(side, at) for at in rng.integers(0, side, 2))
        disc = np.hypot(dy[:, None], dx[None, :]) <= side * 0.3
        scene[..., channel] += 120 * lit[:, light, None, None] * disc
    return scene + _noise(rng, scene.shape, 8)


def small_mark(rng: np.random.Generator, label: int, frames: int, side: int) -> np.ndarray:
    """A few marks of two bright pixels, beside, above or aslant of each other either way. A mark lies within 2 x 2
    pixels that a picture of half the side averages into one: two of the four are bright whatever the mark."""
    marks = np.array([[(1, 1), (0, 0)], [(1, 0), (1, 0)], [(1, 0), (0, 1)], [(0, 1), (1, 0)]])
    picture = np.zeros((side, side), int)
    half = side // 2
    for place in rng.choice(half * half, 8, replace=False):
        y, x = 2 * (place // half), 2 * (place % half)
        mark = marks[label]
        picture[y : y + 2, x : x + 2] = mark[::-1, ::-1] if rng.integers(2) else mark
    return _still(_ground(rng, side) + 80 * picture[:, :, None] + _noise(rng, (side, side, 3), 12), frames)


SCENES: dict[str, tuple[Scene, tuple[str, ...]]] = {
    "static_shape": (static_shape, ("flat", "upright", "cross", "disc")),
    "motion_direction": (motion_direction, tuple(DIRECTIONS)),
    "slow_motion": (slow_motion, tuple(DIRECTIONS)),
    "fast_oscillation": (fast_oscillation, ("down right", "down left", "up right", "up left")),
    "fine_texture": (fine_texture, ("flat", "upright", "checked", "plain")),
    "coarse_blobs": (coarse_blobs, ("flat", "upright", "left", "right")),
    "one_block": (one_block, ("red", "green", "blue", "grey")),
    "appearing": (appearing, ("steady", "red turns", "blue turns", "both turn")),
    "small_mark": (small_mark, ("beside", "above", "falling", "rising")),
}
"""How each set is drawn, and its classes in the order of the labels."""


def _moving(rng: np.random.Generator, places: np.ndarray, side: int) -> np.ndarray:
    """Returns a picture of blobs at ``places`` int [frames, 2], each frame under noise of its own."""
    blobs = np.zeros((side, side))
    for centre in rng.uniform(0, side, (6, 2)):
        dy, dx = (_wrapped(side, at) * 32 / side for at in centre)
        blobs += np.exp(-(dy[:, None] ** 2 + dx[None, :] ** 2) / (2 * 2.2**2))
    picture = np.rint(60 + 110 * np.minimum(blobs, 1)).astype(int)
    # Whole steps of one picture on a wrapped frame, started anywhere: no frame is sharper or fuller than another.
    places = places + rng.integers(0, side, 2)
    scene = np.stack([np.roll(picture, place, (0, 1)) for place in places])
    return scene[..., None] + _noise(rng, (*scene.shape, 3), 8)


def _still(picture: np.ndarray, frames: int) -> np.ndarray:
    return np.broadcast_to(picture, (frames, *picture.shape))


def _ground(rng: np.random.Generator, side: int) -> np.ndarray:
    """Returns an even colour, int [side, side, 3]."""
    return np.broadcast_to(rng.integers(90, 130, 3), (side, side, 3))


def _noise(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Returns whole levels, cut off symmetrically at 3 standard deviations: the levels they are added to stay inside 0
    to 255."""
    return np.rint(np.clip(rng.standard_normal(shape), -3, 3) * std).astype(int)


def _wrapped(side: int, at: float) -> np.ndarray:
    """Returns the distance of each pixel of a row from ``at``, float [side], the short way round."""
    return (np.arange(side) - at + side / 2) % side - side / 2
