"""The two ways to compute: by kernels, or by the definition, as where Numba is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from normscope.engine.forward_call import _calls
from normscope.engine.kernels_installed import kernels_installed


@pytest.fixture(scope="module", params=["kernels", "definition"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let a test run both ways, and say which it is."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "definition":
            patch.setitem(sys.modules, "numba", None)
        kernels_installed.cache_clear()
        _calls.clear()
        assert kernels_installed() == (request.param == "kernels")
        yield request.param
    kernels_installed.cache_clear()
    _calls.clear()
