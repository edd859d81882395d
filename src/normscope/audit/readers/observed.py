"""What each site is given at inference, when the model is run on data -> `Observed`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from normscope.audit.found.site import FoundSite
from normscope.audit.model_graph import Site
from normscope.audit.observed import Observed
from normscope.errors import SpecError
from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.live import Live
from normscope.frameworks.recorder import Call, Recorder
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.statistics_flow import before_moves
from normscope.wording import one_line

_Key = tuple[str, int]
"""The path of a layer, and the number of its call."""


def with_observed(
    live: Live, data: Any, found: Sequence[FoundSite], sites: Sequence[Site]
) -> list[Site]:
    """The sites, with what each was given in one call at inference with data.

    Only a site that takes just what its layer is given can be observed.

    Args:
        live: the model, as it was given.
        data: in the form of its inputs.
        found, sites: the same sites, before and after.

    Raises:
        SpecError: the model does not take the data.
    """
    wanted = {
        (one.call.path, one.call.number): kept
        for one, site in zip(found, sites, strict=True)
        if _takes_what_its_layer_is_given(one) and (kept := _kept_axes(site)) is not None
    }
    watch = _Watch(wanted)
    given = live.inputs(data)
    arguments, named = given.arguments(live.leaf)
    with live.kept():
        live.put_back()
        try:
            with live.watched(watch), live.without_gradients():
                live.call(arguments, named, False)
        except Exception as error:  # a model may refuse its input by any exception
            said = f"{type(error).__name__}: {one_line(error)}"
            raise SpecError(f"{live.model_title} does not take the data: {said}") from error
    return [
        replace(site, observed=watch.seen.get((one.call.path, one.call.number)))
        for one, site in zip(found, sites, strict=True)
    ]


def _takes_what_its_layer_is_given(one: FoundSite) -> bool:
    values = [value for value in one.call.inputs if value.is_float]
    return len(values) == 1 and before_moves(values[0]) is before_moves(one.site.x)


def _kept_axes(site: Site) -> tuple[int, ...] | None:
    """The axes along which statistics of training are kept apart; None if that is not known."""
    if site.layout is None:
        return None
    words = [site.word(axis) for axis in range(len(site.layout.shape))]
    if not set(words) <= {"independent", "shared"}:
        return None
    return tuple(axis for axis, word in enumerate(words) if word == "independent")


class _Watch(Recorder):
    """Takes the statistics of what is wanted, and keeps no arrays."""

    def __init__(self, wanted: Mapping[_Key, tuple[int, ...]]) -> None:
        super().__init__()
        self.seen: dict[_Key, Observed] = {}
        self._wanted = wanted

    def _note(
        self, call: Call, entered: bool, inside: Call | None, ended: list[Call], values: Any
    ) -> None:
        kept = self._wanted.get((call.path, call.number))
        if not entered or kept is None:
            return
        arrays = [array for array in _floats(values) if array.ndim > max(kept, default=0)]
        if len(arrays) == 1:
            self.seen[call.path, call.number] = _statistics(arrays[0], kept)


def _floats(values: Any) -> Iterator[np.ndarray[Any, Any]]:
    for _, leaf in arrays_by_name(values, ""):
        array = to_numpy(leaf)
        if array.dtype.kind == "f":
            yield array


def _statistics(array: np.ndarray[Any, Any], kept: tuple[int, ...]) -> Observed:
    shared = tuple(axis for axis in range(array.ndim) if axis not in kept)
    numbers = array.astype(np.float64)
    return Observed(
        numbers.mean(shared).ravel(),
        numbers.var(shared).ravel(),
        math.prod(array.shape[axis] for axis in shared),
    )
