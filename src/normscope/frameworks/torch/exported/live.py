"""`torch.export.ExportedProgram`, and the program in a .pt2 file: one mode, that of the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from torch.export.exported_program import ExportedProgram

from normscope.errors import SpecError
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import FirstCall
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.torch.exported.bounds import check_bounds
from normscope.frameworks.torch.exported.from_object import program_of
from normscope.frameworks.torch.exported.module import ProgramModule
from normscope.frameworks.torch.exported.program import Layer, Program, Size, Step, Taken
from normscope.frameworks.torch.exported.running import Listener
from normscope.frameworks.torch.hooks import hooked
from normscope.frameworks.torch.live import TorchLive
from normscope.frameworks.torch.module_calls import ModuleCalls
from normscope.graph.operators import Call, Graph

MOST_NUMBERS = 2**26
"""Of all inputs that are made up for a program in a file."""

_SMALL = 4
"""The length that is given to a dimension which is free."""


class ProgramLive(TorchLive):
    """An exported program. What was a constant of its export, such as a mode, cannot be changed."""

    def __init__(self, exported: ExportedProgram | Program, first: FirstCall) -> None:
        program = exported if isinstance(exported, Program) else program_of(exported)
        super().__init__(ProgramModule(program), first)
        self.program = program
        self.title = self.model_title = "the exported program"
        self.kind = "ExportedProgram"
        self.modes = (False,)
        mode = "training" if program.trains else "inference"
        self.notes.append(f"an exported program has one mode, that of its export: {mode}")

    @property
    def details(self) -> Mapping[str, Any]:
        """The mode in which it was exported."""
        return {"exported": "training" if self.program.trains else "inference"}

    def inputs(self, given: Any) -> Inputs:
        """The inputs, if the program was exported for their shapes."""
        found = super().inputs(given)
        arguments, named = found.arguments(self.leaf)
        try:
            leaves = self._module.leaves(arguments, named)
        except (TypeError, ValueError):
            return found  # what is said of a call is clearer
        for taken, leaf in zip(self.program.taken, leaves, strict=True):
            if isinstance(leaf, torch.Tensor) and taken.misfit(leaf.shape):
                raise SpecError(
                    f"the program was exported for {taken}, and an array of shape "
                    f"{tuple(leaf.shape)} came"
                )
        if self.program.untrusted:
            check_bounds(self._module, arguments, named)
        return found

    @property
    def _module(self) -> ProgramModule:
        assert isinstance(self.module, ProgramModule)
        return self.module

    def example(self) -> Any:
        """Inputs of the shapes at export; what is free gets a small length."""
        free = all(s.free for t in self.program.taken for s in t.shape or () if isinstance(s, Size))
        count = sum(prod(_length(s, free) for s in t.shape or ()) for t in self.program.taken)
        if self.program.untrusted and count > MOST_NUMBERS:
            raise SpecError(
                f"the program takes inputs of {count} numbers; at most {MOST_NUMBERS} are made up. "
                "What to do: give them, or what torch.export.load makes of the file"
            )
        rng = np.random.default_rng(0)
        leaves = [_example(taken, free, rng) for taken in self.program.taken]
        arguments, named = self.program.unflattened(leaves)
        names = list(self.program.signature.parameters)
        return {**dict(zip(names, arguments, strict=False)), **named}

    # --- what happens inside --------------------------------------------------------------------

    def _graph(self, given: Inputs, training: bool, modules: dict[str, torch.nn.Module]) -> Graph:
        """The operators of one run, in the layers from which they were exported."""
        from normscope.frameworks.torch.parameters import Parameters
        from normscope.frameworks.torch.trace import trace

        held = {path: self._module.tensor(path) for path in self.program.held}
        with Parameters(self._state.parameters).kept() as parameters:
            return trace(
                self,
                given,
                training,
                held,
                lambda calls: self._module.heard_by(_Calls(calls)),
                self.device,
                parameters,
            )

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """The layers from which it was exported, as far as its steps tell of them."""
        with hooked({"": self.module}, recorder), self._module.heard_by(_Steps(recorder)):
            yield


_WHOLE = frozenset(
    getattr(torch.ops.aten, name).input for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
)
"""What is recorded as a whole, as it is made of operators that tell less."""


class _Calls(Listener):
    """Tells a recorder of operators which layer and which line of the program runs."""

    records = True

    def __init__(self, calls: ModuleCalls) -> None:
        self._calls = calls
        self._open: list[Call] = []

    def enter(self, layer: Layer, inputs: tuple[Any, ...]) -> None:
        self._open.append(self._calls.enter(layer.path, layer.type, None, inputs))

    def leave(self, layer: Layer, outputs: tuple[Any, ...]) -> None:
        self._calls.leave(self._open.pop(), outputs)

    def step(self, step: Step) -> None:
        self._calls.at(step.source)

    def call(self, function: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        if function in _WHOLE:
            return self._calls.whole(function, arguments, named)
        return super().call(function, arguments, named)


class _Steps(Listener):
    """Tells a recorder of values what goes into the layers and comes out."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def enter(self, layer: Layer, inputs: tuple[Any, ...]) -> None:
        self._recorder.enter(layer.path, layer.type, inputs)

    def leave(self, layer: Layer, outputs: tuple[Any, ...]) -> None:
        self._recorder.leave(outputs)


def _example(taken: Taken, free: bool, rng: np.random.Generator) -> Any:
    if taken.shape is None or taken.dtype is None:
        return taken.value
    shape = [_length(size, free) for size in taken.shape]
    if taken.dtype.is_floating_point or taken.dtype.is_complex:
        many = prod(shape) > 2**24
        drawn = rng.standard_normal(shape, np.float32) if many else rng.normal(size=shape)
        numbers = torch.from_numpy(drawn)
    else:  # small enough for any table; both values of a mask
        numbers = torch.from_numpy(rng.integers(0, 2, size=shape))
    return numbers.to(taken.dtype)


def _length(size: int | Size, free: bool) -> int:
    if isinstance(size, int):
        return size
    return max(min(_SMALL, size.at_export), size.least) if free else size.at_export
