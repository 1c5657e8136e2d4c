"""What is asked of predicted latencies."""

import pytest

from tvnjax.latency.gate import Gate, fit_quality


def test_quality_counts_what_it_says():
    quality = fit_quality([1.0, 2.1, 2.0], [1.0, 2.0, 4.0])
    assert quality["mape"] == pytest.approx((0 + 0.05 + 0.5) / 3)
    assert quality["bias"] == pytest.approx((0 + 0.05 - 0.5) / 3)
    assert quality["within_10pct"] == pytest.approx(2 / 3) and quality["count"] == 3
    assert quality["kendall_tau"] == pytest.approx(1 / 3)


MEASURED = [1.0 + index / 10 for index in range(100)]


def gate(predicted, selected=None):
    return Gate.of(predicted, MEASURED, [-ms for ms in MEASURED], selected)


def test_a_good_prediction_passes():
    passed = gate([1.05 * ms for ms in MEASURED], (MEASURED[:30], MEASURED[:30]))
    assert passed.passes and passed.as_json()["passes"] and not passed.failures
    assert passed.flops_kendall_tau == pytest.approx(-1)


@pytest.mark.parametrize(
    ("predicted", "words"),
    [
        ([1.09 * ms for ms in MEASURED], "mean absolute error 9.0%, at most 8% asked"),
        ([ms * (1.2 if index % 5 == 0 else 1) for index, ms in enumerate(MEASURED)], "share within"),
        (MEASURED[::-1], "Kendall's tau -1.00, at least 0.90 asked"),
    ],
)
def test_each_line_fails_by_itself(predicted, words):
    failed = gate(predicted)
    assert not failed.passes and any(words in failure for failure in failed.failures)


def test_selected_networks_count_for_the_bias_only():
    high = gate(MEASURED, ([1.04 * ms for ms in MEASURED[:30]], MEASURED[:30]))
    assert high.failures == ["mean signed error of selected networks +4.0%, within \u00b13% asked"]
    shuffled = gate(MEASURED, (MEASURED[:30], MEASURED[:30][::-1]))
    assert all("Kendall" not in failure for failure in shuffled.failures)


def test_too_few_networks_are_a_failure_of_their_own():
    few = Gate.of([1.0, 2.0], [1.0, 2.0], [1, 2], ([1.0], [1.0]))
    assert few.failures == ["2 random networks, 100 asked", "1 selected networks, 30 asked"]
