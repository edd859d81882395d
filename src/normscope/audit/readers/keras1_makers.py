"""What makes the channels of each layer in a network of Keras 1, found for all in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from normscope.audit.model_graph import Maker
from normscope.frameworks.keras1.traits import traits_of
from normscope.keras1.network import Call

MOST_MAKERS = 4
"""How many makers of channels are told of one layer; a model can have thousands of them."""

Subtracts = Callable[[Call, int], bool]
"""Whether a call normalizes, and subtracts what is constant along all axes but this one."""

Sources = tuple[tuple[tuple[str, int], ...], bool]
"""The first few makers upstream, as path and axis, and whether there are more."""


class Makers:
    """The makers of channels in a network.

    Args:
        calls: in an order in which they can be computed.
        subtracts: tells of a call whether it takes away a bias along an axis.
    """

    def __init__(self, calls: Sequence[Call], subtracts: Subtracts) -> None:
        self._traits = {
            call.id: traits_of(call.layer_class, call.config, call.output.axes) for call in calls
        }
        self._origins = self._found_origins(calls)
        self._sources = self._found_sources(calls)
        self._undone = self._undone_biases(calls, subtracts)

    def of(self, call: Call) -> tuple[tuple[Maker, ...], bool]:
        """The makers of what a call takes, the first few of them, and whether there are more."""
        pairs, more = self._sources[call.id]
        biases = {
            (origin.path, self._traits[origin.id].channel_axis)
            for origin in self._origins[call.id]
            if origin.id in self._undone
        }
        return tuple(
            Maker(path, axis, *([True] * 3 if (path, axis) in biases else []))
            for path, axis in pairs
        ), more

    def _found_sources(self, calls: Sequence[Call]) -> dict[str, Sources]:
        """The nearest makers upstream of each call, looking through what keeps the axes."""
        at_output: dict[str, Sources] = {}
        at_input: dict[str, Sources] = {}
        for call in calls:
            sources = _together(at_output[source] for source in call.inputs)
            at_input[call.id] = sources
            traits = self._traits[call.id]
            if traits.channel_axis is not None:
                sources = (((call.path, traits.channel_axis),), False)
            elif not traits.keeps_axes:
                sources = ((), False)
            at_output[call.id] = sources
        return at_input

    def _found_origins(self, calls: Sequence[Call]) -> dict[str, tuple[Call, ...]]:
        """The calls whose values each call takes, looking through those that change nothing."""
        behind: dict[str, tuple[Call, ...]] = {}
        found: dict[str, tuple[Call, ...]] = {}
        for call in calls:
            taken = [behind[source] for source in dict.fromkeys(call.inputs)]
            one = taken[0] if len(taken) == 1 else tuple(o for origins in taken for o in origins)
            found[call.id] = one
            behind[call.id] = one if self._traits[call.id].identity else (call,)
        return found

    def _undone_biases(self, calls: Sequence[Call], subtracts: Subtracts) -> frozenset[str]:
        """The ids of the calls whose bias every reader of their output takes away again."""
        readers: dict[str, list[Call]] = {}
        for call in calls:
            for source in self._origins[call.id]:
                readers.setdefault(source.id, []).append(call)

        def undone(reader: Call, axis: int) -> bool:
            if self._traits[reader.id].identity:
                return not reader.is_output  # what reads it in turn is judged too
            return subtracts(reader, axis)

        found = set()
        for call in calls:
            axis = self._traits[call.id].channel_axis
            if axis is None or not self._traits[call.id].adds_bias or call.is_output:
                continue
            if all(undone(reader, axis) for reader in readers.get(call.id, ())):
                found.add(call.id)
        return frozenset(found)


def _together(parts: Iterable[Sources]) -> Sources:
    """The sources of several inputs; each axis that occurs is told of one of those kept."""
    different = list(dict.fromkeys(parts))
    if len(different) == 1:
        return different[0]
    pairs = sorted({pair for pairs, _ in different for pair in pairs})
    first_of = {axis: (path, axis) for path, axis in reversed(pairs)}
    kept = sorted({*pairs[:MOST_MAKERS], *first_of.values()})
    return tuple(kept), len(pairs) > len(kept) or any(more for _, more in different)
