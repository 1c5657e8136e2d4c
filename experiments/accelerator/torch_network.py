"""A lowered network as a plain PyTorch module, for one comparison: how long the same training step takes there.

Clips are ``[B, C, T, H, W]``. Padding is SAME as here, so that every layer does the same arithmetic. PyTorch is not
among what this project needs; nothing of it is imported before a network is asked for.
"""

from typing import Any

from tvnjax import graph
from tvnjax.graph import Network


def torch_network(network: Network) -> Any:
    """The ``torch.nn.Module`` of a chain of convolutions, pools and gates, with weights as PyTorch draws them.

    Raises:
        NotImplementedError: it has a layer that has no module here, or is no chain.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    acts = {None: nn.Identity, "relu": nn.ReLU, "hswish": nn.Hardswish, "swish": nn.SiLU, "sigmoid": nn.Sigmoid}
    acts["hsigmoid"] = nn.Hardsigmoid

    def padding(layer: Any, window: Any, shape: Any) -> tuple[int, ...]:
        """For ``functional.pad``: before and behind, from the last axis on."""
        found: list[int] = []
        for size, kernel, stride in reversed(list(zip(shape[:3], window, layer.stride))):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            before = kernel // 2 if getattr(layer, "centered", False) else total // 2
            found += [before, max(total - before, 0)]
        return tuple(found)

    class Conv(nn.Module):
        def __init__(self, layer: graph.Conv):
            super().__init__()
            width, bias = layer.out_shape.c, layer.bias
            self.pad = padding(layer, layer.kernel, layer.in_shape)
            even = all(before == behind for before, behind in zip(self.pad[::2], self.pad[1::2]))
            inside = tuple(reversed(self.pad[::2])) if even else 0
            self.pad = () if even else self.pad
            options: Any = {"stride": layer.stride, "padding": inside, "groups": layer.groups, "bias": bias}
            self.conv = nn.Conv3d(layer.in_shape.c, width, layer.kernel, **options)
            # PyTorch's momentum is the new value's part.
            self.norm = nn.BatchNorm3d(width, eps=layer.epsilon, momentum=0.1) if layer.norm else nn.Identity()
            self.act = acts[layer.act]()

        def forward(self, x: Any) -> Any:
            return self.act(self.norm(self.conv(functional.pad(x, self.pad) if self.pad else x)))

    class Pool(nn.Module):
        def __init__(self, layer: graph.Pool):
            super().__init__()
            self.pad, self.window, self.stride = (
                padding(layer, layer.window, layer.in_shape),
                layer.window,
                layer.stride,
            )
            self.most = layer.kind == "max"
            ones = torch.ones(1, 1, *layer.in_shape[:3])
            mean = functional.avg_pool3d(functional.pad(ones, self.pad), self.window, self.stride)
            # An average leaves the padding out of its divisor.
            self.register_buffer("part", mean, persistent=False)

        def forward(self, x: Any) -> Any:
            if self.most:
                x = functional.pad(x, self.pad, value=float("-inf"))
                return functional.max_pool3d(x, self.window, self.stride)
            return functional.avg_pool3d(functional.pad(x, self.pad), self.window, self.stride) / self.part.to(x.dtype)

    class SqueezeExcite(nn.Module):
        def __init__(self, layer: graph.SqueezeExcite):
            super().__init__()
            c = layer.in_shape.c
            self.axes = (3, 4) if layer.per_frame else (2, 3, 4)
            self.reduce, self.restore = nn.Conv3d(c, layer.hidden, 1), nn.Conv3d(layer.hidden, c, 1)
            self.hidden, self.gate, self.act = acts[layer.hidden_act](), acts[layer.gate](), acts[layer.act]()

        def forward(self, x: Any) -> Any:
            mean = x.mean(self.axes, keepdim=True)
            return self.act(x * self.gate(self.restore(self.hidden(self.reduce(mean)))))

    class ContextGate(nn.Module):
        def __init__(self, layer: graph.ContextGate):
            super().__init__()
            self.dense = nn.Conv3d(layer.in_shape.c, layer.in_shape.c, 1)

        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(self.dense(x.mean((2, 3, 4), keepdim=True)))

    class NonLocal(nn.Module):
        def __init__(self, layer: graph.NonLocal):
            super().__init__()
            c, k = layer.in_shape.c, layer.bottleneck
            self.query, self.key, self.value = nn.Linear(c, k), nn.Linear(c, k), nn.Linear(c, k)
            self.out = nn.Linear(k, c)

        def forward(self, x: Any) -> Any:
            tokens = x.flatten(2).transpose(1, 2)
            q, k, v = self.query(tokens), self.key(tokens), self.value(tokens)
            y = self.out(torch.softmax(q @ k.transpose(1, 2), -1) @ v)
            return x + y.transpose(1, 2).reshape(x.shape)

    made: dict[type, Any] = {
        graph.Conv: Conv,
        graph.Pool: Pool,
        graph.SqueezeExcite: SqueezeExcite,
        graph.ContextGate: ContextGate,
        graph.NonLocal: NonLocal,
    }

    def chain(layers: Any) -> Any:
        for layer in layers:
            if type(layer) not in made:
                raise NotImplementedError(f"a {type(layer).__name__} has no module in PyTorch here")
        return nn.Sequential(*(made[type(layer)](layer) for layer in layers))

    class Unit(nn.Module):
        def __init__(self, unit: graph.Unit):
            super().__init__()
            self.layers = chain(unit.layers)
            self.shortcut = None if unit.shortcut is None else chain(unit.shortcut)
            self.act = acts[unit.act]()

        def forward(self, x: Any) -> Any:
            y = self.layers(x)
            return self.act(y if self.shortcut is None else y + self.shortcut(x))

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            head = network.head
            if not network.is_chain or head.pool != "mean" or head.hidden:
                raise NotImplementedError("a chain with a mean and one dense layer is what is made in PyTorch here")
            self.units = nn.Sequential(*map(Unit, network.units))
            self.dropout, self.dense = nn.Dropout(head.dropout), nn.Linear(head.features, head.num_classes)

        def forward(self, clip: Any) -> Any:
            return self.dense(self.dropout(self.units(clip).mean((2, 3, 4))))

    return Whole()
