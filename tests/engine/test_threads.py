from __future__ import annotations

from collections.abc import Iterator

import pytest

from normscope.engine.threads import num_threads, set_num_threads


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    yield
    set_num_threads(None)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", 5000])
def test_a_number_that_makes_no_sense_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="number of threads"):
        set_num_threads(number)  # type: ignore[arg-type]


def test_the_default_is_the_cores_of_this_process() -> None:
    assert num_threads() >= 1
