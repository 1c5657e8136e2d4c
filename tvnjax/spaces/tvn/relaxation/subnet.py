"""A single network of the plan with the supernet's weights: the *subnet*, as opposed to a *child* trained from
scratch."""

from collections.abc import Iterator
from typing import Any

from flax import nnx
from jax import Array

from tvnjax.nn.child import Child
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers import OwnModule
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.operators import IDENTITY, Operator, among, bypasses, operator_of
from tvnjax.spaces.tvn.own_operators import OwnOperator
from tvnjax.spaces.tvn.relaxation.masks import subkernel_offset
from tvnjax.spaces.tvn.relaxation.supernet import Supernet


def subnet(supernet: Supernet, genotype: Genotype, *, form: Form | None = None) -> Child:
    """Builds the network of a genotype with weights and running statistics sliced out of the supernet.

    A choice of width, of expansion, of squeeze and of a bottleneck keeps the first channels; a kernel is a window of
    the superkernel.

    Raises:
        ValueError: the genotype is not of the supernet's plan.
    """
    supernet.plan.encode(genotype)
    num_classes = supernet.heads[-1].dense.kernel.shape[-1]
    lowered = lower(genotype, num_classes, channels=supernet.channels, head=supernet.head_kind)
    child = Child(lowered, form=form)
    for unit, module in zip(lowered.units, child.units):  # the lowering leaves out units that would do nothing
        _copy_unit(module, supernet.blocks[unit.block][unit.repeat], genotype.blocks[unit.block])
    _copy_prefix(child.head.dense, supernet.heads[-1].dense)
    return child


# Which parts a mixed unit has depends on its candidates; a genotype of the plan asks only for those it has.


def _copy_unit(target: Any, source: Any, block: Block) -> None:
    # In the order of the lowering. Pools hold no weights, and those that would do nothing are not there.
    kept = [layer for layer in target.layers if isinstance(layer, OwnModule) or nnx.state(layer, nnx.Param)]
    layers: Iterator[Any] = iter(kept)
    spatial = operator_of(block.spatial_type, block.spatial_kernel)
    temporal = operator_of(block.temporal_type, block.temporal_kernel)
    if block.inverted_bottleneck:
        _copy_prefix(next(layers), source.widen)
    if isinstance(block.spatial_type, OwnOperator) and spatial != IDENTITY:
        _copy_own(next(layers), source.spatial, spatial)
    elif not bypasses(spatial):
        _copy_spatial(layers, source.spatial, block)
    if source.temporal is not None:
        if isinstance(block.temporal_type, OwnOperator) and temporal != IDENTITY:
            _copy_own(next(layers), source.temporal, temporal)
        elif not bypasses(temporal):
            _copy_temporal(layers, source.temporal, block)
    if block.expand > 0 and not block.inverted_bottleneck:
        _copy_prefix(next(layers), source.expand)
    if block.non_local > 0:
        _copy_prefix(next(layers), source.gates.non_local)
    if block.squeeze > 0:
        gate = next(layers)
        _copy_prefix(gate.reduce, source.gates.reduce)
        _copy_prefix(gate.restore, source.gates.restore)
    if block.context_gate:
        _copy_prefix(next(layers).dense, source.gates.gate)
    if block.inverted_bottleneck:
        _copy_prefix(next(layers), source.narrow)
    if target.shortcut is not None:
        _copy_prefix(target.shortcut[0], source.shortcut)


def _copy_spatial(layers: Iterator[Any], source: Any, block: Block) -> None:
    if block.spatial_type != "1std":
        _copy_prefix(next(layers), source.pointwise)
    layer = next(layers)
    superkernel = source.superkernel(block.spatial_type)
    at = subkernel_offset(source.size, source.stride, source.kernel_size, block.spatial_kernel)
    taps = slice(at, at + block.spatial_kernel)
    layer.kernel[...] = _prefix(superkernel[:, taps, taps], layer.kernel.shape)
    _copy_prefix(layer.norm, source.norm)


def _copy_temporal(layers: Iterator[Any], source: Any, block: Block) -> None:
    layer = next(layers)
    at = subkernel_offset(source.size, source.stride, source.kernel.shape[0], block.temporal_kernel)
    layer.kernel[...] = _prefix(source.superkernel()[at : at + block.temporal_kernel], layer.kernel.shape)
    _copy_prefix(layer.norm, source.norm)


def _copy_own(target: Any, source: Any, operator: Operator) -> None:
    _copy_prefix(target, source.own_path(among(operator, source.operators)).module)


def _copy_prefix(target: nnx.Module, source: nnx.Module) -> None:
    """Copies every array of ``target`` from the leading corner of the same-named one of ``source``."""
    sources = dict(nnx.to_flat_state(nnx.state(source)))
    for path, variable in nnx.to_flat_state(nnx.state(target)):
        variable[...] = _prefix(sources[path][...], variable.shape)


def _prefix(array: Array, shape: tuple[int, ...]) -> Array:
    return array[tuple(slice(size) for size in shape)]
