"""The operator graph of a model of PyTorch: it is called once, and its operators are recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensorMode

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.frameworks.torch.arrays import to_numpy
from normscope.frameworks.torch.known_tensors import form_of
from normscope.frameworks.torch.module_calls import ModuleCalls
from normscope.frameworks.torch.operator_recorder import OperatorRecorder
from normscope.frameworks.torch.parameters import Parameters, WritesParametersError
from normscope.frameworks.torch.program_reads import ProgramReads
from normscope.frameworks.torch.tracing_settings import operators_in_sight
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import CannotTraceError, Graph, Value

Watch = Callable[[ModuleCalls], AbstractContextManager[None]]
"""Within, the calls of layers are told."""


class TorchArrays:
    """Tensors as arrays of NumPy, and back."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def to_numpy(self, array: Any) -> NDArray[Any]:
        """The numbers of a tensor; of bfloat16 and the like, as float32."""
        return to_numpy(array)

    def from_numpy(self, array: NDArray[Any], dtype: str) -> Any:
        """A tensor of this dtype."""
        kind = getattr(torch, dtype)
        return torch.from_numpy(np.array(array)).to(device=self._device, dtype=kind)


def trace(
    live: Live,
    given: Inputs,
    training: bool,
    held: Mapping[str, torch.Tensor],
    watch: Watch,
    device: torch.device,
    parameters: Parameters | None = None,
) -> Graph:
    """The graph of one call, with inputs that have no numbers; where that fails, with real ones.

    What depends on no input is computed, so that masks and indices are known. A program that reads
    numbers that depend on an input can only be followed along the path that it takes for the inputs
    as given, and then nothing is proved.

    Args:
        live: the model.
        given: its inputs.
        training: the mode.
        held: the tensors that it holds, by their paths.
        watch: its layers.
        device: on which it computes.
        parameters: those of the tensors that are no copies.

    Raises:
        WritesParametersError: it is about to write to one of `parameters`, or must be called for
            real.
        CannotTraceError: the model cannot be called with these inputs, or its operators are hidden.
    """
    parameters = parameters or Parameters()
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    first = Tracing(live, given, held, watch, device, fake, parameters)
    failure: Exception | None = None
    try:
        first.run(training)
    except CannotTraceError:
        raise
    except Exception as error:  # a program may answer inputs without numbers by any exception
        failure = error
    finally:
        live.put_back()
    why = first.recorder.reads
    if failure is None and not why:
        return first.graph
    if failure is not None and not why:
        why = f"the program cannot be followed without numbers ({_said(failure)})"
    if parameters.memories:  # it runs for real now, and may write with what shows no operators
        raise WritesParametersError
    second = Tracing(live, given, held, watch, device, None, parameters)
    try:
        second.run(training)
    except CannotTraceError:
        raise
    except Exception as error:  # a program may raise anything
        raise CannotTraceError(f"{live.title} cannot be called: {_said(error)}") from error
    finally:
        live.put_back()
    second.graph.blind = why
    return second.graph


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def _in_objects(tree: Any, name: str, depth: int = 8) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in the attributes of objects, which are no outputs as nested values have them."""
    if depth == 0 or isinstance(tree, torch.Tensor | torch.nn.Module | type):
        return
    if isinstance(tree, list | tuple | set | frozenset):
        parts = {f"[{number}]": part for number, part in enumerate(tree)}
    elif isinstance(tree, Mapping):
        parts = {f".{key}": part for key, part in tree.items()}
    else:
        parts = {f".{key}": part for key, part in getattr(tree, "__dict__", {}).items()}
        if not dataclasses.is_dataclass(tree):
            found = [(name + key, part) for key, part in parts.items()]
            yield from ((at, part) for at, part in found if isinstance(part, torch.Tensor))
    for key, part in parts.items():
        yield from _in_objects(part, name + key, depth - 1)


class Tracing:
    """One call of a model under a recorder.

    Attributes:
        graph: of the call.
        recorder: of its operators.
    """

    def __init__(
        self,
        live: Live,
        given: Inputs,
        held: Mapping[str, torch.Tensor],
        watch: Watch,
        device: torch.device,
        fake: FakeTensorMode | None,
        parameters: Parameters,
    ) -> None:
        self.graph = Graph(TorchArrays(device))
        self.recorder = OperatorRecorder(self.graph, fake, type(self).run.__code__, parameters)
        self._live, self._given, self._watch, self._fake = live, given, watch, fake
        self.recorder.known.hold(held)

    def run(self, training: bool) -> None:
        """Call the model in a mode."""
        names = iter(self._given.names)
        recorder, graph = self.recorder, self.graph

        def made(leaf: Any, numbers: Any) -> Any:
            real = self._live.leaf(leaf, numbers)
            tensor = real if self._fake is None else self._fake.from_tensor(real)
            value = graph.input(*form_of(real), next(names))
            recorder.known.bind(tensor, value)
            return tensor

        arguments, named = self._given.arguments(made)
        root = graph.calls[0]
        root.type, root.inputs = self._live.kind, tuple(graph.inputs)
        whole = {
            getattr(torch, name): recorder.whole(getattr(torch.ops.aten, name).input)
            for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
        }
        reads = ProgramReads(recorder.read, recorder.replaced, whole, recorder.parameters.check)
        with operators_in_sight(), self._watch(ModuleCalls(recorder)), recorder, reads:
            output = self._live.call(arguments, named, training)
            self._take_outputs(output)

    def _take_outputs(self, output: Any) -> None:
        leaves = list(arrays_by_name(output, "output")) or list(_in_objects(output, "output"))
        for name, leaf in leaves:
            self.graph.outputs.append(self._value(leaf))
            self.graph.output_names.append(name)
        self.graph.calls[0].outputs = tuple(self.graph.outputs)
        self.graph.release_unused_moves()

    def _value(self, leaf: Any) -> Value:
        if not isinstance(leaf, torch.Tensor):
            leaf = torch.as_tensor(np.asarray(leaf))
        return self.recorder.known.value(leaf, self.graph.calls[0])
