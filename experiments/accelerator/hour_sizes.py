"""How much an hour of an accelerator measures, or some minutes of it, or a test on a CPU."""

import dataclasses
from typing import Any, NamedTuple

from experiments.accelerator.form_checks import LAYERS
from experiments.accelerator.step_times import CHILDREN, Measured
from experiments.reliability.kill_anywhere import TINY
from tvnjax.data.procedural import ProceduralData
from tvnjax.latency.profile import Profiling
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.strategies.evolution import EvolutionConfig
from tvnjax.spaces.tvn.shapes import ShapeChoices


class Sizes(NamedTuple):
    """How much is measured."""

    shares: tuple[float, ...]
    """Of the minutes, of each part behind the first; in the order of ``one_hour.parts_of``."""
    forms: tuple[str, ...] | None
    """Layers whose forms are checked; all by default."""
    product: int
    """Side of the matrices whose product stands for what a device reaches."""
    step: RunConfig
    """Whose roomiest plan's search step is timed."""
    supernet: Measured
    children: tuple[str, ...]
    """Networks of the zoo whose training steps are timed."""
    child: Measured
    gate: RunConfig
    networks: int
    """Random ones that the gate is verified on."""
    selected: int
    search: RunConfig
    """Of evolution too."""


def sizes_of(kind: str) -> Sizes:
    """``hour``, ``minutes`` or ``toy``."""
    return {"hour": _of_an_hour, "minutes": _of_minutes, "toy": _of_a_test}[kind]()


def _of_an_hour() -> Sizes:
    tvn = PRESETS["tvn-gpu"][1]
    return Sizes(
        shares=(4, 10, 4, 10, 16, 16),
        forms=None,
        product=8192,
        step=tvn,
        supernet=Measured(32, 3),
        children=CHILDREN,
        child=Measured(64, 20),
        gate=_gate(Profiling(units=60, networks=40, chosen=10)),
        networks=100,
        selected=30,
        search=_drawn(tvn, tvn.shapes, steps=100, plans=4, clips=256),
    )


def _of_minutes() -> Sizes:
    tvn = PRESETS["tvn-gpu"][1]
    blocks = tuple(dataclasses.replace(block, repeats=(1,)) for block in tvn.shapes.blocks[:5])
    least: Any = {"image_size": (160,), "num_frames": (16,), "num_blocks": (5,), "blocks": blocks}
    search = _drawn(tvn, dataclasses.replace(tvn.shapes, **least), steps=20, plans=1, clips=96)
    # Steps of the weights alone would be another program to compile.
    search = dataclasses.replace(search, search=dataclasses.replace(search.search, arch_warmup=0.0))
    return Sizes(
        shares=(3, 12, 3, 6, 22, 14),
        forms=tuple(LAYERS),
        product=8192,
        step=search,
        supernet=Measured(32, 3),
        children=CHILDREN,
        child=Measured(64, 10),
        gate=_gate(Profiling(units=12, networks=8, chosen=2, repeats=30)),
        networks=12,
        selected=4,
        search=search,
    )


def _of_a_test() -> Sizes:
    settings = dataclasses.replace(TINY.search, precision="bfloat16", remat=True, steps=6)
    search = dataclasses.replace(TINY, reproducible=False, strategies=("differentiable",), search=settings)
    return Sizes(
        shares=(1,) * 6,
        forms=("depthwise 3x3 stride 2", "convolution, 1x1"),
        product=128,
        step=search,
        supernet=Measured(2, 1),
        children=CHILDREN[:1],
        child=Measured(2, 1, image_size=16, num_frames=2),
        gate=search,
        networks=4,
        selected=3,
        search=search,
    )


def _gate(profile: Profiling) -> RunConfig:
    return dataclasses.replace(PRESETS["clips"][1], profile=profile)


def _drawn(tvn: RunConfig, shapes: ShapeChoices, *, steps: int, plans: int, clips: int) -> RunConfig:
    """``tvn-gpu`` on clips that are drawn: frames one behind the other, so that they are as short as can be."""
    few = max(clips // 4, 64)
    small: Any = {"steps": steps, "working_set": plans, "redraws": 1, "score_clips": 32}
    small["projection"] = ProjectionConfig(
        plans=1,
        top_k=2,
        draws=2,
        neighbours=2,
        rank_steps=4,
        racers=2,
        finalists=1,
        recalibration_batches=4,
        fine_tune_steps=8,
    )
    return dataclasses.replace(
        tvn,
        strategies=("differentiable",),
        data=ProceduralData(
            task="motion_shape",
            train_clips=clips,
            val_clips=few,
            test_clips=few,
            num_frames=max(shapes.num_frames),
            size=max(shapes.image_size),
        ),
        shapes=dataclasses.replace(shapes, frame_stride=(1,)),
        profile=Profiling(units=12, networks=6, chosen=0, repeats=30),
        search=dataclasses.replace(tvn.search, **small),
        evolution=EvolutionConfig(population=3, tournament=2),
        proxy=dataclasses.replace(tvn.proxy, steps=steps),
        retrain=dataclasses.replace(tvn.retrain, steps=2 * steps),
    )
