"""A network let through is within the budget the next time as often as was asked for."""

import numpy as np
import pytest

from tvnjax.search.gradient.repeatability import Repeatability


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("networks", "repeats"), [(1, 5), (6, 3), (9, 2)])
def test_the_next_measurement_stays_below_the_bound_as_often_as_asked_for(confidence, networks, repeats):
    rng, spread, below = np.random.default_rng(0), 0.03, []
    for _ in range(1500):
        repeated, means = Repeatability(confidence), rng.uniform(0.1, 2.0, networks)
        for name, mean in enumerate(means):
            for value in mean * (1 + spread * rng.standard_normal(repeats)):
                repeated.add(str(name), float(value))
        assert repeated.freedom == networks * (repeats - 1)
        again = means * (1 + spread * rng.standard_normal(networks))
        below += [again[i] <= repeated.upper_ms(str(i)) for i in range(networks)]
    # Standard error of the part: at most 0.01 with 1,500 rows of dependent bounds.
    assert abs(np.mean(below) - confidence) < 0.03


def test_what_was_measured_once_is_taken_as_it_is():
    repeated = Repeatability(0.95)
    repeated.add("a", 2.0)
    repeated.add("b", 3.0)
    assert (repeated.spread, repeated.upper_ms("a"), list(repeated.of("b"))) == (0.0, 2.0, [3.0])
    with pytest.raises(KeyError):
        repeated.upper_ms("c")


def test_the_spread_of_one_network_is_that_of_all():
    """Two measurements, 1 % to either side of their mean: a sample of variance 2 x 1e-4, with one degree of freedom."""
    repeated = Repeatability(0.95)
    for value in (0.99, 1.01):
        repeated.add("a", value)
    repeated.add("b", 10.0)
    assert repeated.spread == pytest.approx(0.01 * 2**0.5)
    # The 95 % point of Student's t with one degree of freedom (Cauchy): tan(0.45 pi).
    assert repeated.upper_ms("b") == pytest.approx(10 * (1 + np.tan(0.45 * np.pi) * 0.01 * 2**0.5 * 2**0.5))
