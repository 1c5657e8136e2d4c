"""MoViNet-A0 in NumPy, from its published definition alone: rows of its table, SAME padding as loops over taps."""

import numpy as np

ROWS = (
    # width, expanded, frames and pixels of the kernel, stride
    (8, 24, 1, 5, 2),
    (32, 80, 3, 3, 2),
    (32, 80, 3, 3, 1),
    (32, 80, 3, 3, 1),
    (56, 184, 5, 3, 2),
    (56, 112, 3, 3, 1),
    (56, 184, 3, 3, 1),
    (56, 184, 5, 3, 1),
    (56, 184, 3, 3, 1),
    (56, 184, 3, 3, 1),
    (56, 184, 3, 3, 1),
    (104, 384, 5, 3, 2),
    (104, 280, 1, 5, 1),
    (104, 280, 1, 5, 1),
    (104, 344, 1, 5, 1),
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def windows(x, kernel, stride):
    """What each tap reads, and whether it lies within the array: two dictionaries by tap."""
    outs = [-(-n // s) for n, s in zip(x.shape[1:4], stride)]
    pads = [max((o - 1) * s + k - n, 0) for o, s, k, n in zip(outs, stride, kernel, x.shape[1:4])]
    widths = [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)]
    padded, real = np.pad(x, widths), np.pad(np.ones_like(x), widths)
    for tap in np.ndindex(*kernel):
        index = tuple(slice(i, i + (o - 1) * s + 1, s) for i, o, s in zip(tap, outs, stride))
        yield tap, padded[(slice(None), *index)], real[(slice(None), *index)]


def average(x, kernel, stride):
    taps = list(windows(x, kernel, stride))
    return sum(values for _, values, _ in taps) / sum(real for _, _, real in taps)


class Weights:
    """Hands out the arrays of a list in order."""

    def __init__(self, arrays):
        self.arrays = list(arrays)

    def take(self):
        return np.asarray(self.arrays.pop(0), np.float64)

    def norm(self, x):
        scale, bias, mean, var = (self.take() for _ in range(4))
        return (x - mean) / np.sqrt(var + 1e-3) * scale + bias

    def pointwise(self, x):
        return self.norm(x @ self.take()[0, 0, 0])

    def depthwise(self, x, stride):
        kernel = self.take()
        steps = (1, stride, stride)
        taps = windows(x, kernel.shape[:3], steps)
        return self.norm(sum(values * kernel[tap][0] for tap, values, _ in taps))

    def dense(self, x):
        return x @ self.take() + self.take()


def movinet_a0(clip, arrays):
    """Logits of clips ``[B, T, H, W, 3]``; arrays in the order in which they are used."""
    weights = Weights(arrays)
    kernel = weights.take()
    x = sum(values @ kernel[tap] for tap, values, _ in windows(np.asarray(clip, np.float64), (1, 3, 3), (1, 2, 2)))
    x = swish(weights.norm(x))
    for width, expanded, _, _, stride in ROWS:
        y = swish(weights.pointwise(x))
        assert y.shape[-1] == expanded
        y = swish(weights.depthwise(y, stride))
        gate = sigmoid(weights.dense(swish(weights.dense(y.mean((1, 2, 3))))))
        y = weights.pointwise(y * gate[:, None, None, None]) * weights.take()
        if stride > 1:
            x = average(x, (1, 3, 3), (1, 2, 2))
        if stride > 1 or x.shape[-1] != width:
            x = weights.pointwise(x)
        x = x + y
    x = swish(weights.pointwise(x)).mean((1, 2, 3))
    logits = weights.dense(swish(weights.dense(x)))
    assert not weights.arrays
    return logits
