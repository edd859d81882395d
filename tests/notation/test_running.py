"""What running statistics store of a batch, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from normscope import Running
from normscope.notation.running import stored_variance, updated

VALUES = np.array([1.0, 2.0, 4.0, 9.0])  # their mean is 4, their squared deviations add up to 38


@pytest.mark.parametrize("given", [0, 1, 2])
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, 38 / 4),
        ({"ddof": 1}, 38 / 3),
        ({"plus_eps": True}, 38 / 4 + 0.5),
        ({"deviation": True}, (38 / 4) ** 0.5),
        ({"ddof": 1, "plus_eps": True, "deviation": True}, (38 / 3 + 0.5) ** 0.5),
    ],
)
def test_what_is_stored_of_a_variance(fields: dict, wanted: float, given: int) -> None:
    variance = VALUES.var(ddof=given)
    found = stored_variance(Running(0.9, **fields), variance, 0.5, np.sqrt, count=4, ddof=given)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_a_variance_that_is_divided_already_is_taken_as_it_is() -> None:
    assert stored_variance(Running(0.9, ddof=1), 7.0, 0.5, np.sqrt) == 7.0


@pytest.mark.parametrize(("decay", "wanted"), [(0.0, 4.0), (0.25, 5.0), (1.0, 8.0)])
def test_the_share_of_the_old_value_is_the_decay(decay: float, wanted: float) -> None:
    np.testing.assert_array_equal(updated(decay, np.full(2, 8.0), np.full(2, 4.0)), [wanted] * 2)
