"""Outputs of the released networks: pinned by a fingerprint, and by full vectors where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from tests.nn.released import fill, reference_input
from tvnjax.nn.child import Child
from tvnjax.spaces.tvn.genotype import genotype_from_json
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.zoo.tvn import TVN1

VECTORS = Path(__file__).parents[3] / "shared/reference/tvn"
SHORT_NAMES = {"inv": "inverted_bottleneck", "sact": "spatial_act", "tact": "temporal_act"}


@pytest.fixture(scope="module")
def tvn1_logits():
    child = Child(lower(TVN1, 339))
    fill(child)
    return np.asarray(nnx.jit(lambda model, clip: model(clip))(child, reference_input(2, 224)))


def test_tvn1_by_its_fingerprint(tvn1_logits):
    """The recipe regenerates input and weights, so three logits and the sum of all pin the whole network."""
    assert tvn1_logits.shape == (2, 339)
    np.testing.assert_allclose(tvn1_logits[0, :3], [-0.036742, -0.167999, -0.100014], atol=2e-6)
    np.testing.assert_allclose(tvn1_logits.sum(), 8.652463, rtol=1e-5)


@pytest.mark.skipif(not VECTORS.exists(), reason="reference vectors are not beside this checkout")
def test_tvn1_by_all_its_logits(tvn1_logits):
    expected = np.load(VECTORS / "full_TVN1.npz")["logits"]
    assert np.abs(tvn1_logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.skipif(not VECTORS.exists(), reason="reference vectors are not beside this checkout")
@pytest.mark.parametrize("number", range(1, 11))
def test_small_networks_by_their_vectors(number):
    """Even kernels, strides 3 and 4, every pool, dropped skips, inverted bottlenecks, expand 0, the per-frame head, and
    (the tenth) batch statistics and the moving statistics after one update."""
    path = next(VECTORS.glob(f"m{number:02d}_*.json"))
    data, vectors = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
    blocks = [
        {SHORT_NAMES.get(key, key): value for key, value in block.items() if key != "current_size"}
        for block in data["net"]["blocks"]
    ]
    size, frames = data["net"]["image_size"], data["net"]["num_frames"]
    genotype = genotype_from_json({"image_size": size, "num_frames": frames, "blocks": blocks})
    head = "softmax_time" if data["maxpool"] else "mean"
    child = Child(lower(genotype, data["classes"], head=head))
    variables = fill(child)
    assert len(variables) == len(data["vars"])
    clip = reference_input(frames, size)

    def run(model, clip):
        ends, x = {}, clip
        for unit, lowered in zip(model.units, lower(genotype, 5).units):
            x = unit(x, train=data["training"])
            ends[lowered.block] = x
        return model.head(x), ends

    logits, ends = nnx.jit(run)(child, clip)
    close(logits, vectors["logits"])
    for block, end in ends.items():
        close(end.reshape(vectors[f"block-{block}"].shape), vectors[f"block-{block}"])
    for index, variable in enumerate(variables):
        if f"upd_{index:03d}" in vectors:
            close(variable[...], vectors[f"upd_{index:03d}"])


def close(ours, theirs):
    assert np.abs(np.asarray(ours) - theirs).max() <= 1e-5 * np.abs(theirs).max()
