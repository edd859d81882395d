"""Axis names that only a later layer tells, carried back to the outputs before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normscope.keras1.network.calls import Call
from normscope.keras1.network.settings import Axes, Settings, Tensor
from normscope.keras1.network.shapes import input_axes, time_axes


def names_from_behind(calls: Sequence[Call], file: str, ordering: str | None) -> dict[str, Axes]:
    """The axis names that calls give to an output before them that has none, by its id.

    Args:
        calls: in topological order.
        file: as the messages name it.
        ordering: the dim_ordering of layers that do not say theirs.

    Raises:
        ModelFileError: a setting is wrong.
    """
    wanted: dict[str, Axes] = {}
    _Names(file, ordering).carry_back(calls, wanted)
    return wanted


@dataclass(frozen=True)
class _Names:
    """The way of axis names from the output of a call to its inputs."""

    file: str
    ordering: str | None

    def carry_back(self, calls: Sequence[Call], wanted: dict[str, Axes]) -> None:
        for call in reversed(calls):
            names = call.output.axes or wanted.get(call.id)
            for source, tensor in zip(call.inputs, call.input_tensors, strict=True):
                if tensor.axes is None and source not in wanted:
                    axes = self.input_names(call, tensor, names, wanted)
                    if axes and len(tensor.shape or axes) == len(axes):
                        wanted[source] = axes

    def input_names(
        self, call: Call, tensor: Tensor, names: Axes | None, wanted: dict[str, Axes]
    ) -> Axes | None:
        settings = Settings(self.file, call.path, call.layer_class, call.config, self.ordering)
        if call.layer_class != "TimeDistributed":
            return input_axes(settings, tensor, names)
        inside: dict[str, Axes] = {}
        if call.wrapped and names:
            inside[call.wrapped[-1].id] = names[:1] + names[2:]
        self.carry_back(call.wrapped, inside)
        step = inside.pop(call.inputs[0], None)
        wanted |= inside
        return time_axes(step)
