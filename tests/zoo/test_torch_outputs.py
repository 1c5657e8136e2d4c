"""Counts and outputs of torchvision's and pytorchvideo's networks, with the weights copied over."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.zoo.weights import parts, randomize
from tvnjax.nn.child import Child
from tvnjax.nn.layers import ConvNorm
from tvnjax.nn.parts import BatchNorm
from tvnjax.zoo.r2plus1d import BLOCKS, r2plus1d
from tvnjax.zoo.registry import zoo_entry
from tvnjax.zoo.x3d import x3d

pytestmark = pytest.mark.torch


def video_resnet(layers, num_classes=400):
    from torchvision.models.video import resnet

    block = resnet.Bottleneck if layers == 50 else resnet.BasicBlock
    makers, stem = [resnet.Conv2Plus1D] * 4, resnet.R2Plus1dStem
    return resnet.VideoResNet(block, makers, list(BLOCKS[layers]), stem, num_classes=num_classes)


def torch_mobilenet(variant, num_classes=339):
    models = pytest.importorskip("torchvision").models
    return getattr(models, f"mobilenet_v3_{variant}")(num_classes=num_classes)


def torch_x3d(frames, size, depth_factor=2.2, num_classes=400):
    build = pytest.importorskip("pytorchvideo.models.x3d").create_x3d
    return build(
        input_clip_length=frames,
        input_crop_size=size,
        depth_factor=depth_factor,
        model_num_class=num_classes,
        head_activation=None,
    )


def executed(model, *inputs):
    """Convolutions, dense layers and normalisations in the order in which they run, with their outputs' shapes."""
    torch = pytest.importorskip("torch")
    kinds = (torch.nn.modules.conv._ConvNd, torch.nn.Linear, torch.nn.modules.batchnorm._BatchNorm)
    order = []
    hooks = [
        module.register_forward_hook(lambda module, _, output: order.append((module, tuple(output.shape))))
        for module in model.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        model.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return order


def counts(model, *shape):
    """Trainable parameters and multiply-adds, for an input that holds no numbers."""
    torch = pytest.importorskip("torch")
    order = executed(model.to("meta"), torch.zeros(shape, device="meta"))
    macs = 0
    for module, output in order:
        if hasattr(module, "kernel_size"):
            macs += int(np.prod(output)) * int(np.prod(module.weight.shape[1:]))
        elif isinstance(module, torch.nn.Linear):
            macs += int(np.prod(output)) * module.in_features
    return sum(p.numel() for p in model.parameters() if p.requires_grad), macs


@pytest.mark.parametrize("layers", [18, 34, 50])
def test_counts_of_r2plus1d(layers):
    pytest.importorskip("torchvision")
    network = zoo_entry(f"r2plus1d-{layers}").network()
    assert (network.params, network.macs) == counts(video_resnet(layers), 1, 3, 16, 112, 112)


@pytest.mark.parametrize("variant", ["small", "large"])
def test_counts_of_mobilenetv3_on_one_frame(variant):
    network = zoo_entry(f"mobilenetv3-{variant}").network(1000, num_frames=1)
    assert (network.params, network.macs) == counts(torch_mobilenet(variant, 1000), 1, 3, 224, 224)


@pytest.mark.parametrize("size", ["xs", "s", "m", "l"])
def test_counts_of_x3d(size):
    entry = zoo_entry(f"x3d-{size}")
    frames, side = entry.num_frames, entry.image_size
    model = torch_x3d(frames, side, 5.0 if size == "l" else 2.2)
    network = entry.network()
    assert (network.params, network.macs) == counts(model, 1, 3, frames, side, side)


def copy_weights(child, modules, **order):
    """Our weights into modules in their order of execution; every one of them takes exactly one of ours."""
    torch = pytest.importorskip("torch")

    def put(parameter, values):
        with torch.no_grad():
            parameter.copy_(torch.tensor(np.asarray(values)).reshape(parameter.shape))

    for part, module in zip(parts(child, **order), modules, strict=True):
        if isinstance(part, BatchNorm):
            put(module.weight, part.scale[...])
            put(module.bias, part.bias[...])
            put(module.running_mean, part.mean[...])
            put(module.running_var, part.var[...])
            continue
        kernel = np.asarray(part.kernel[...])
        put(module.weight, kernel.transpose(4, 3, 0, 1, 2) if isinstance(part, ConvNorm) else kernel.T)
        assert (module.bias is None) == (part.bias is None)
        if part.bias is not None:
            put(module.bias, part.bias[...])


def compared(network, model, clip, forward, example, **order):
    """Our logits, and those of a torch model with our random weights."""
    torch = pytest.importorskip("torch")
    child = Child(network, seed=1)
    randomize(child)
    copy_weights(child, [module for module, _ in executed(model, example)], **order)
    graph, state = nnx.split(child)
    ours = np.asarray(nnx.jit(lambda model, clip: model(clip))(nnx.merge(graph, state), jnp.asarray(clip)))
    with torch.no_grad():
        theirs = forward(model.eval(), torch.tensor(clip.transpose(0, 4, 1, 2, 3))).numpy()
    return ours, theirs


def noise(frames, size):
    return np.random.default_rng(0).standard_normal((2, frames, size, size, 3)).astype(np.float32)


def assert_same(ours, theirs):
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 1e-2
    assert np.abs(ours - theirs).max() <= 1e-4 * max(np.abs(theirs).max(), 1.0)
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3


@pytest.mark.parametrize(("layers", "size"), [(18, 32), (50, 30)])
def test_outputs_of_r2plus1d(layers, size):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    network = r2plus1d(num_frames=6, image_size=size, num_classes=7, blocks=BLOCKS[layers], bottleneck=layers == 50)
    example = torch.zeros(1, 3, 6, size, size)
    ours, theirs = compared(network, video_resnet(layers, 7), noise(6, size), lambda model, x: model(x), example)
    assert_same(ours, theirs)


@pytest.mark.parametrize("variant", ["small", "large"])
def test_outputs_of_mobilenetv3_per_frame(variant):
    torch = pytest.importorskip("torch")
    model = torch_mobilenet(variant, 7)

    def per_frame(model, x):
        b, c, t, h, w = x.shape
        features = model.features(x.transpose(1, 2).reshape(b * t, c, h, w))
        hidden = model.classifier[:3](model.avgpool(features).flatten(1))
        return model.classifier[3](hidden.reshape(b, t, -1).amax(1))

    network = zoo_entry(f"mobilenetv3-{variant}").network(7, num_frames=3, image_size=64)
    ours, theirs = compared(network, model, noise(3, 64), per_frame, torch.zeros(1, 3, 64, 64))
    assert_same(ours, theirs)


@pytest.mark.parametrize(("frames", "size", "depth_factor"), [(4, 64, 2.2), (3, 72, 1.0)])
def test_outputs_of_x3d(frames, size, depth_factor):
    torch = pytest.importorskip("torch")
    model = torch_x3d(frames, size, depth_factor, 7)
    build = functools.partial(x3d, depth_factor=depth_factor)
    network = build(num_frames=frames, image_size=size, num_classes=7)
    example = torch.zeros(1, 3, frames, size, size)
    ours, theirs = compared(
        network, model, noise(frames, size), lambda model, x: model(x), example, shortcut_first=True
    )
    assert_same(ours, theirs)
