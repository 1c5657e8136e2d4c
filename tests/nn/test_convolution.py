"""Every form of every convolution gives the numbers of one written as loops, and the same gradients."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.runtimes.xla import Xla
from tvnjax.nn.child import Child
from tvnjax.nn.convolution import conv, default_form
from tvnjax.nn.layers import ConvNorm
from tvnjax.nn.sliding_window import same_axis
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower

# name: (input, kernel, stride)
CASES = {
    "pointwise": ((2, 3, 5, 4, 6), (1, 1, 1, 6, 5), (1, 1, 1)),
    "pointwise strided": ((2, 5, 7, 4, 6), (1, 1, 1, 6, 5), (3, 2, 4)),
    "spatial 3": ((2, 2, 7, 6, 4), (1, 3, 3, 4, 5), (1, 1, 1)),
    "spatial 4 stride 2": ((2, 3, 9, 8, 4), (1, 4, 4, 4, 5), (2, 2, 2)),
    "spatial 5 stride 3": ((1, 2, 16, 15, 4), (1, 5, 5, 4, 5), (1, 3, 3)),
    "spatial 2 without overlap": ((2, 2, 8, 7, 4), (1, 2, 2, 4, 5), (1, 2, 2)),
    "spatial 2 with gaps": ((2, 2, 11, 8, 4), (1, 2, 3, 4, 5), (1, 5, 1)),
    "spatial 6 wider than the image": ((2, 2, 5, 4, 4), (1, 6, 6, 4, 5), (1, 1, 1)),
    "spatial 8 on one pixel": ((2, 2, 1, 1, 4), (1, 8, 8, 4, 5), (1, 1, 1)),
    "spatial 5 stride 2 on many images": ((16, 9, 7, 6, 4), (1, 5, 5, 4, 5), (1, 2, 2)),
    "spatial 3 on more images": ((32, 8, 5, 4, 3), (1, 3, 3, 3, 2), (1, 1, 1)),
    "rows with gaps, columns that overlap": ((2, 2, 9, 12, 4), (1, 2, 7, 4, 5), (1, 3, 1)),
    "spatial 5 stride 2 in many channels": ((1, 2, 7, 6, 64), (1, 5, 5, 64, 3), (1, 2, 2)),
    "columns with gaps in many channels": ((1, 1, 12, 8, 64), (1, 7, 2, 64, 3), (1, 1, 3)),
    "first layer": ((2, 2, 9, 9, 3), (1, 3, 3, 3, 8), (1, 2, 2)),
    "rows alone": ((2, 2, 9, 9, 4), (1, 7, 1, 4, 5), (1, 1, 2)),
    "temporal 3": ((2, 6, 3, 2, 4), (3, 1, 1, 4, 5), (1, 1, 1)),
    "temporal 2 stride 2": ((2, 7, 3, 4, 4), (2, 1, 1, 4, 5), (2, 2, 1)),
    "temporal 5 stride 2": ((2, 16, 3, 2, 4), (5, 1, 1, 4, 5), (2, 1, 1)),
    "temporal 3 on two frames": ((2, 2, 3, 2, 4), (3, 1, 1, 4, 5), (1, 1, 1)),
    "temporal 4 on one frame": ((2, 1, 3, 2, 4), (4, 1, 1, 4, 5), (1, 1, 1)),
    "temporal in one channel": ((2, 6, 3, 2, 1), (3, 1, 1, 1, 1), (1, 1, 1)),
    "space and time": ((2, 4, 6, 5, 4), (3, 3, 3, 4, 5), (1, 1, 1)),
    "space and time strided": ((2, 5, 8, 8, 4), (2, 3, 3, 4, 5), (2, 2, 1)),
    "space and time on one frame": ((2, 1, 6, 6, 4), (3, 3, 3, 4, 5), (1, 1, 1)),
    "time and width": ((2, 5, 3, 8, 4), (3, 1, 3, 4, 5), (1, 2, 1)),
    "grouped": ((2, 2, 6, 7, 8), (1, 3, 3, 2, 12), (1, 1, 2)),
    "grouped in time": ((2, 5, 3, 2, 8), (3, 1, 1, 4, 6), (2, 1, 1)),
    "grouped pointwise": ((2, 2, 3, 2, 8), (1, 1, 1, 4, 6), (1, 1, 1)),
    "grouped in space and time": ((1, 4, 5, 5, 6), (3, 3, 3, 3, 4), (1, 1, 1)),
    "depthwise 3": ((2, 3, 6, 7, 5), (1, 3, 3, 1, 5), (1, 1, 1)),
    "depthwise 5 stride 2": ((2, 3, 8, 7, 5), (1, 5, 5, 1, 5), (1, 2, 2)),
    "depthwise pointwise": ((2, 5, 4, 3, 5), (1, 1, 1, 1, 5), (2, 1, 3)),
    "depthwise multiplied": ((2, 3, 6, 7, 4), (1, 3, 2, 1, 12), (2, 1, 2)),
    "depthwise in time": ((2, 6, 3, 2, 5), (3, 1, 1, 1, 5), (1, 1, 1)),
    "depthwise in space and time": ((2, 5, 6, 4, 5), (3, 3, 2, 1, 5), (2, 1, 2)),
    "depthwise on one pixel": ((2, 1, 1, 1, 5), (3, 5, 4, 1, 5), (1, 1, 1)),
}


def operands(shape, kernel, dtype=jnp.float32):
    rng = np.random.default_rng(math.prod(shape))
    return jnp.asarray(rng.normal(size=shape), dtype), jnp.asarray(rng.normal(size=kernel), dtype)


def differentiate(stride, form, centered=False):
    """A function of ``(x, kernel)`` that returns the output and the gradient of an uneven sum of it."""

    def run(x, kernel):
        y, pull_back = jax.vjp(lambda x, kernel: conv(x, kernel, stride, form=form, centered=centered), x, kernel)
        return y, *pull_back(jnp.cos(jnp.arange(y.size)).astype(y.dtype).reshape(y.shape))

    return run


def assert_close(got, wanted, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-6)


def conv_with_loops(x, kernel, stride, centered=False):
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    outs = [-(-n // s) for n, s in zip(x.shape[1:4], stride)]
    pads = [max((o - 1) * s + k - n, 0) for o, s, k, n in zip(outs, stride, kernel.shape, x.shape[1:4])]
    before = [k // 2 for k in kernel.shape[:3]] if centered else [p // 2 for p in pads]
    padded = np.pad(x, [(0, 0), *((b, max(p - b, 0) + k) for b, p, k in zip(before, pads, kernel.shape)), (0, 0)])
    padded = np.pad(padded, [(0, 0), *((0, s) for s in stride), (0, 0)])  # strides past the last window
    groups = x.shape[-1] // kernel.shape[3]
    per_group = kernel.shape[4] // groups
    y = np.zeros((x.shape[0], *outs, kernel.shape[4]))
    for at in itertools.product(*map(range, outs)):
        corner = [o * s for o, s in zip(at, stride)]
        window = padded[(slice(None), *(slice(c, c + k) for c, k in zip(corner, kernel.shape)))]
        for f in range(kernel.shape[4]):
            first = f // per_group * kernel.shape[3]
            seen = window[..., first : first + kernel.shape[3]]
            y[(slice(None), *at, f)] = np.einsum("bthwc,thwc->b", seen, kernel[..., f])
    return y


@pytest.mark.parametrize("name", CASES)
def test_forms_agree_with_loops_and_in_their_gradients(name):
    shape, kernel, stride = CASES[name]
    x, kernel = operands(shape, kernel)
    plain = jax.jit(differentiate(stride, "plain"))(x, kernel)
    shifted = jax.jit(differentiate(stride, "shifted"))(x, kernel)
    assert_close(shifted, plain)
    assert_close(plain[0], conv_with_loops(x, kernel, stride).astype(np.float32))


CENTERED = {
    "spatial 7 stride 2, even side": ((2, 2, 8, 9, 3), (1, 7, 7, 3, 4), (1, 2, 2)),
    "temporal 3 stride 2": ((2, 4, 3, 2, 4), (3, 1, 1, 4, 5), (2, 1, 1)),
    "depthwise 5 stride 2": ((2, 2, 6, 8, 4), (1, 5, 5, 1, 4), (1, 2, 2)),
    "depthwise in space and time": ((2, 4, 6, 6, 4), (3, 3, 3, 1, 4), (2, 2, 2)),
    "dense in space and time": ((1, 4, 6, 6, 4), (3, 3, 3, 4, 3), (2, 2, 1)),
    "stride past the window": ((1, 1, 9, 8, 4), (1, 3, 3, 4, 3), (1, 4, 5)),
    "spatial 5 stride 2": ((1, 2, 11, 12, 4), (1, 5, 5, 4, 3), (1, 2, 2)),
    "pointwise strided": ((1, 4, 6, 6, 4), (1, 1, 1, 4, 3), (2, 2, 2)),
}


@pytest.mark.parametrize("name", CENTERED)
def test_centred_windows_agree_with_loops(name):
    shape, kernel, stride = CENTERED[name]
    x, kernel = operands(shape, kernel)
    wanted = conv_with_loops(x, kernel, stride, centered=True).astype(np.float32)
    plain, shifted = (jax.jit(differentiate(stride, form, centered=True))(x, kernel) for form in ("plain", "shifted"))
    assert_close(shifted, plain)
    assert_close(plain[0], wanted)


@pytest.mark.parametrize("taps", range(1, 9))
def test_depthwise_agrees_at_every_stride(taps):
    """One program for each kernel size: strides 1 to 8, by turns over 10 pixels and over 7 frames."""
    x, kernel = operands((2, 7, 10, 1, 3), (taps, 1, 1, 1, 3))

    def run(form):
        in_time = [differentiate((s, 1, 1), form)(x, kernel) for s in range(1 + taps % 2, 9, 2)]
        rows = kernel.swapaxes(0, 1)
        return in_time, [differentiate((1, s, 1), form)(x, rows) for s in range(2 - taps % 2, 9, 2)]

    assert_close(jax.jit(run, static_argnums=0)("shifted"), jax.jit(run, static_argnums=0)("plain"))


def test_same_axis_pads_as_xla_does_and_keeps_only_taps_that_read():
    for size, window, stride in itertools.product(range(1, 10), range(1, 9), range(1, 9)):
        axis = same_axis(size, window, stride)
        ((before, _),) = jax.lax.padtype_to_pads((size,), (window,), (stride,), "SAME")
        reads = {i for i in range(window) for o in range(axis.out) if 0 <= o * stride + i - before < size}
        assert axis.before + axis.first == before and axis.out == -(-size // stride)
        assert (axis.first, axis.first + axis.taps - 1) == (min(reads), max(reads))


@pytest.mark.parametrize(
    "name", ["depthwise 5 stride 2", "temporal 3", "grouped", "space and time strided", "spatial 4 stride 2"]
)
def test_gradients_differentiate_again(name):
    shape, kernel, stride = CASES[name]
    x, kernel = operands(shape, kernel)

    def penalty(x, kernel, form):
        def loss(x, kernel):
            return jnp.sin(conv(x, kernel, stride, form=form)).sum()

        dx, dkernel = jax.grad(loss, (0, 1))(x, kernel)
        return (dx**2).sum() + (dkernel**2).sum()

    second = jax.jit(jax.grad(penalty, (0, 1)), static_argnums=2)
    assert_close(second(x, kernel, "shifted"), second(x, kernel, "plain"))


@pytest.mark.parametrize("form", ["plain", "shifted"])
def test_bfloat16_stays_bfloat16(form):
    for shape, kernel, stride in CASES.values():
        narrow = [jax.ShapeDtypeStruct(size, jnp.bfloat16) for size in (shape, kernel)]
        assert {out.dtype for out in jax.eval_shape(differentiate(stride, form), *narrow)} == {jnp.dtype(jnp.bfloat16)}
    shape, kernel, stride = CASES["depthwise 3"]
    x, kernel = operands(shape, kernel, jnp.bfloat16)
    y = conv(x, kernel, stride, form=form)
    assert_close(y, jnp.asarray(conv_with_loops(x, kernel, stride), jnp.bfloat16), 1e-2)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("depthwise", "grouped"))])
def test_shifted_form_holds_no_grouped_convolution(name):
    shape, kernel, stride = CASES[name]
    program = str(jax.make_jaxpr(differentiate(stride, "shifted"))(*operands(shape, kernel)))
    counts = program.count("feature_group_count=1"), program.count("batch_group_count=1")
    assert program.count("_group_count=") == sum(counts)


def test_default_form_is_shifted_on_a_cpu_alone():
    assert [default_form(backend) for backend in ("cpu", "gpu", "cuda", "tpu")] == ["shifted", *["plain"] * 3]
    assert default_form() == default_form(jax.default_backend())


def test_the_form_follows_the_device_that_is_compiled_for(monkeypatch):
    """Where another backend is the default: the device that is chosen, for networks and for what times them."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    cpu = jax.devices("cpu")[0]
    lowered = lower(Genotype(image_size=4, num_frames=1, blocks=(Block(spatial_kernel=3, filters=4),)), 2)

    def forms(module):
        return {part.form for _, part in nnx.iter_modules(module) if isinstance(part, ConvNorm)}

    assert default_form() == "plain" and forms(Child(lowered)) == {"plain"}
    for device in (cpu, "cpu"):
        with jax.default_device(device):
            assert default_form() == "shifted" and forms(Child(lowered)) == {"shifted"}
    asked = []
    monkeypatch.setattr("tvnjax.latency.runtimes.xla.default_form", lambda *on: asked.append(on) or "plain")
    runtime = Xla(device="cpu")
    runtime.network(lowered)
    runtime.unit(lowered.units[0])
    assert asked == [("cpu",)] * 2


@pytest.mark.parametrize(
    ("shape", "kernel", "arguments"),
    [
        ((2, 4, 4, 3), (1, 3, 3, 3, 8), {"form": "plain"}),
        ((2, 1, 4, 4, 3), (3, 3, 3, 8), {"form": "plain"}),
        ((2, 1, 4, 4, 3), (1, 3, 3, 2, 8), {"form": "plain"}),
        ((2, 1, 4, 4, 4), (1, 3, 3, 2, 7), {"form": "plain"}),
        ((2, 1, 4, 4, 3), (1, 3, 3, 3, 8), {"stride": (1, 0, 1), "form": "plain"}),
        ((2, 1, 4, 4, 3), (1, 3, 3, 3, 8), {"form": "fast"}),
    ],
)
def test_misfits_are_refused(shape, kernel, arguments):
    with pytest.raises(InvalidInputError, match="; met "):
        conv(jnp.zeros(shape), jnp.zeros(kernel), **arguments)


def test_two_dtypes_are_refused():
    with pytest.raises(InvalidInputError, match="share one dtype"):
        conv(jnp.zeros((1, 1, 4, 4, 3)), jnp.zeros((1, 3, 3, 3, 8), jnp.bfloat16), form="plain")
