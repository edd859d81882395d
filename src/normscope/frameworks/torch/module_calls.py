"""`ModuleCalls`: which module of PyTorch runs just now, told by hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from normscope.frameworks.torch.operator_recorder import OperatorRecorder
from normscope.frameworks.torch.training_step import counts_updates, inside_a_checkpoint
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import Call, Value


class ModuleCalls:
    """Tells a recorder which layer runs; whoever watches the layers calls `enter` and `leave`."""

    def __init__(self, recorder: OperatorRecorder) -> None:
        self._recorder = recorder
        self._numbers: Counter[str] = Counter()

    def enter(self, path: str, type_name: str, layer: Any, arguments: Any) -> Call:
        """A layer is called."""
        self._numbers[path] += 1
        inside = self._recorder.call
        inputs = self._values(arguments)
        call = Call(path, type_name, inside, layer, inputs, (), self._numbers[path])
        call.again = counts_updates(layer) and inside_a_checkpoint()
        self._recorder.graph.calls.append(call)
        self._recorder.call = call
        return call

    def leave(self, call: Call, outputs: Any) -> None:
        """A layer has run, or was left by an exception; so were those that it has called."""
        call.outputs = self._values(outputs)
        if call.parent is not None:
            self._recorder.call = call.parent

    def at(self, line: str) -> None:
        """This line of the model runs now, which its frames do not tell."""
        self._recorder.line = line

    def whole(self, function: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Call an operator, and record it as one, whatever it is made of."""
        return self._recorder.record(function, arguments, named)

    def _values(self, tree: Any) -> tuple[Value, ...]:
        tensors = [t for _, t in arrays_by_name(tree, "") if isinstance(t, torch.Tensor)]
        return tuple(self._recorder.known.value(t, self._recorder.call) for t in tensors)


@contextmanager
def watched(modules: Mapping[str, torch.nn.Module], calls: ModuleCalls) -> Iterator[None]:
    """Within, each call of a module is told, but for the one named "", which is the model."""
    with ExitStack() as hooks:
        for path, module in modules.items():
            if path and not isinstance(module, torch.jit.ScriptModule):  # these refuse hooks
                for handle in _hooks(path, module, calls):
                    hooks.callback(handle.remove)
        yield


def _hooks(path: str, module: torch.nn.Module, calls: ModuleCalls) -> Iterable[Any]:
    """First and last of all hooks, so that what those of others do belongs to the module."""
    open_calls: list[Call] = []

    def entered(module: Any, arguments: Any, named: Any) -> None:
        tree = (arguments, named)
        open_calls.append(calls.enter(path, type(module).__name__, module, tree))

    def left(module: Any, arguments: Any, named: Any, output: Any) -> None:
        if open_calls:
            calls.leave(open_calls.pop(), output)

    register_before: Callable[..., Any] = module.register_forward_pre_hook
    register_after: Callable[..., Any] = module.register_forward_hook
    yield register_before(entered, prepend=True, with_kwargs=True)
    yield register_after(left, with_kwargs=True, always_call=True)
