"""Primitive layers by their definitions, in NumPy: a sum or a maximum over the taps of a SAME window."""

import numpy as np

from tvnjax import graph


def windows(x: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, ...], fill: float) -> np.ndarray:
    """``[taps, B, T', H', W', C]``: what each tap of a window reads, ``fill`` where it meets padding."""
    widths, outs = [(0, 0)], []
    for n, k, s in zip(x.shape[1:4], kernel, stride):
        out = -(-n // s)
        total = max((out - 1) * s + k - n, 0)
        widths.append((total // 2, total - total // 2))
        outs.append(out)
    padded = np.pad(x, [*widths, (0, 0)], constant_values=fill)
    reads = []
    for taps in np.ndindex(*kernel):
        slices = (slice(tap, tap + (out - 1) * s + 1, s) for tap, out, s in zip(taps, outs, stride))
        reads.append(padded[(slice(None), *slices)])
    return np.stack(reads)


def pool(layer: graph.Pool, x: np.ndarray) -> np.ndarray:
    if layer.kind == "max":
        return windows(x, layer.window, layer.stride, -np.inf).max(0)
    total = windows(x, layer.window, layer.stride, 0).sum(0)
    return total / windows(np.ones_like(x), layer.window, layer.stride, 0).sum(0)


def convolution(layer: graph.Conv, x: np.ndarray, kernel: np.ndarray, norm: dict[str, np.ndarray]) -> np.ndarray:
    """Convolution, normalisation by running statistics, relu; ``kernel [kt, kh, kw, c / groups, features]``."""
    taps = kernel.reshape(-1, *kernel.shape[3:])
    reads = windows(x, layer.kernel, layer.stride, 0)
    y = (reads * taps[:, None, None, None, None, 0]).sum(0) if layer.groups > 1 else sum(map(np.matmul, reads, taps))
    y = (y - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) * norm["scale"] + norm["bias"]
    return np.maximum(y, 0) if layer.act == "relu" else y
