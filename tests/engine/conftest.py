"""The two ways to compute: by kernels, or by the definition, as where no kernels are built."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from normscope.engine import backward_call, forward_call
from normscope.kernels.library import LEVEL_VARIABLE, kernels_built


@pytest.fixture(scope="module", params=["kernels", "definition"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let a test run both ways, and say which it is."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "definition":
            patch.setenv(LEVEL_VARIABLE, "none")
        kernels_built.cache_clear()
        _forget()
        assert kernels_built() == (request.param == "kernels")
        yield request.param
    kernels_built.cache_clear()
    _forget()


def _forget() -> None:
    """Let go of the calls that were prepared the other way."""
    forward_call._calls.clear()
    backward_call._calls.clear()
