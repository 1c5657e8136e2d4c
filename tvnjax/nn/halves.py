"""Convolutions of several batches side by side, along an axis that ``jax.vmap`` adds, that share one kernel.

JAX maps the gradient of a kernel, where both of what it is made of have such an axis, to a grouped convolution, for
which a GPU transposes both and which it is slow at. Here it is one convolution for each batch, so that nothing is left
of those that nobody reads.
"""

import functools

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import Array

from tvnjax.nn.convolution import Form, conv

Stride = tuple[int, int, int]


def shared_conv(x: Array, kernel: Array, stride: Stride, *, form: Form) -> Array:
    """``conv`` with such gradients where the form is plain; differentiable once, in reverse."""
    return _conv(x, kernel, stride) if form == "plain" else conv(x, kernel, stride, form=form)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Array, kernel: Array, stride: Stride) -> Array:
    return conv(x, kernel, stride, form="plain")


def _gradient(stride: Stride, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    (by_x,) = jax.linear_transpose(lambda x: conv(x, kernel, stride, form="plain"), x)(g)

    def of_one(x: Array, g: Array) -> Array:
        return jax.linear_transpose(lambda kernel: conv(x, kernel, stride, form="plain"), kernel)(g)[0]

    of_each = jax.custom_batching.custom_vmap(of_one)

    @of_each.def_vmap
    def one_by_one(size: int, batched: list[bool], x: Array, g: Array) -> tuple[Array, bool]:
        if not all(batched):
            return jax.vmap(of_one, tuple(0 if one else None for one in batched))(x, g), True
        # All with zeros for the others' gradients: a sixth more work than slices, which are kernels of their own.
        whole = x.reshape(-1, *x.shape[2:])
        rows = []
        for number in range(size):
            own = jnp.where((jnp.arange(size) == number).reshape(size, *[1] * (g.ndim - 1)), g, 0)
            rows.append(of_one(whole, own.reshape(-1, *g.shape[2:])))
        return jnp.stack(rows), True

    return by_x, of_each(x, g)


_conv.defvjp(lambda x, kernel, stride: (_conv(x, kernel, stride), (x, kernel)), _gradient)
