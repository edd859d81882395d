"""What most tests of identify begin with: a layer is identified, and is what a spec says."""

from __future__ import annotations

from typing import Any

from normscope import NormSpec
from normscope.identify import Identification, identify
from normscope.identify.compare import differences


def identified_as(
    spec: NormSpec, layer: Any, shape: tuple[int, ...], axes: str | None = None, **options: Any
) -> Identification:
    """Identify a layer, whose training mode must compute what the spec says."""
    found = identify(layer, shape, axes, **options)
    assert found.train is not None, found
    assert not list(differences(spec, found.train, shape)), found
    return found
