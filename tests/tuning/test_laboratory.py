import numpy as np
import pytest

from arviz_resampler.tuning.laboratory import number_at, share_of, slope_at, width
from arviz_resampler.tuning.ranges import Range


@pytest.mark.parametrize(("low", "high"), [(0.5, 8.0), (0.0, 8.0), (-3.0, 5.0), (-9.0, -1.0)])
def test_a_value_moves_with_its_share_as_difference_quotients_say(low: float, high: float) -> None:
    range_ = Range("scale", low, high)
    for share in (0.1, 0.5, 0.9):
        # A central quotient is off by step**2 / 6 of the third derivative: here 8 * log(16)**3 / 6e8 at most.
        quotient = (number_at(range_, share + 1e-4) - number_at(range_, share - 1e-4)) / 2e-4
        assert slope_at(range_, number_at(range_, share)) == pytest.approx(quotient, abs=1e-6)


@pytest.mark.parametrize(("low", "high", "size"), [(0.5, 8.0, np.log(16)), (0.0, 8.0, 8.0), (-3.0, 5.0, 8.0)])
def test_a_range_is_measured_by_its_ratio_where_it_is_positive(low: float, high: float, size: float) -> None:
    range_ = Range("scale", low, high)
    assert width(range_) == pytest.approx(size)
    assert share_of(range_, high) == 1.0
