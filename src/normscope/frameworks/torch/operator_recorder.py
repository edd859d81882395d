"""`OperatorRecorder`: turns the operators that a program of PyTorch runs into nodes of a graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from normscope.frameworks.source_lines import source_line
from normscope.frameworks.torch.aten.application import (
    Application,
    Meaning,
    Run,
    arguments_of,
    tensors_in,
)
from normscope.frameworks.torch.aten.fixed import DRAWN, LIKE
from normscope.frameworks.torch.aten.lowered import LOWERED
from normscope.frameworks.torch.aten.table import meaning_of
from normscope.frameworks.torch.known_tensors import KnownTensors, form_of, unwrapped
from normscope.frameworks.torch.parameters import Parameters
from normscope.graph.operators import Call, CannotTraceError, Graph, Role, Value
from normscope.graph.rules import Opaque

_TORCH = str(Path(torch.__file__).parent)
_UNFILLED = (
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_strided.default,
    torch.ops.aten.empty_permuted.default,
)
_LARGEST, _LARGEST_DRAWN = 2**24, 2**16
"""Elements. What hangs on a shape alone is computed while tracing, unless it is larger."""


class ReadsNumbersError(Exception):
    """The program reads numbers that depend on an input; the text says where."""


class OperatorRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode of PyTorch, within which each operator that runs becomes a node.

    Attributes:
        graph: gets the nodes.
        known: the value of each tensor.
        call: of the innermost layer.
        line: of the model that runs just now, where the model tells it and its frames do not.
        reads: why the program may do something else with other inputs; "" if it may not.
        parameters: what nothing may be written to.
    """

    def __init__(
        self,
        graph: Graph,
        fake: FakeTensorMode | None,
        outermost: CodeType,
        parameters: Parameters,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.supports_higher_order_operators = True
        self.graph = graph
        self.known = KnownTensors(graph, parameters.memories)
        self.parameters = parameters
        self.call: Call = graph.calls[0]
        self.line = ""
        self.reads = ""
        self._fake = fake
        self._outermost = outermost
        self._paused = False
        self._part_of = ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every operator comes by here."""
        kwargs = kwargs or {}
        if self._paused or getattr(func, "namespace", "") == "prim":
            return func(*args, **kwargs)
        if not isinstance(func, torch._ops.OpOverload):
            output = func(*args, **kwargs)
            self.unforeseen(str(func), [*args, *kwargs.values()], output)
            return output
        if func.namespace == "c10d":  # their schemas do not say what they write to
            raise CannotTraceError(
                f"it shares numbers with other processes, by {func._schema.name}, whose part in it "
                "is out of sight"
            )
        # within inference_mode, and inside of what is done here, operators come not taken apart
        simpler = LOWERED.get(func) or (func.decompose if _is_composite(func) else None)
        if simpler is not None:
            with self, self._apart(func):
                output = simpler(*args, **kwargs)
            if output is not NotImplemented:
                return output
        if func is torch.ops.aten.set_.source_Tensor:
            self.parameters.check(args[0])
            output = func(*args, **kwargs)
            self.replaced(args[0], args[1])
            return output
        if func in _UNFILLED:  # it may be filled without an operator before it is used
            return func(*args, **kwargs)
        if func is torch.ops.aten.as_strided.default:
            return self._restrided(args, kwargs)
        if (
            func is torch.ops.aten.as_strided_.default
        ):  # of the tensor itself, as in adaptive pooling
            self.parameters.check(args[0])
            value = self.known.value(self._restrided(args, kwargs), self.call)
            output = func(*args, **kwargs)
            self.known.bind(args[0], value)
            return output
        return self.record(func, args, kwargs)

    @contextmanager
    def _apart(self, function: torch._ops.OpOverload) -> Iterator[None]:
        """Within, an operator is taken apart; one that is not of PyTorch names its parts."""
        before = self._part_of
        if function.namespace != "aten":
            self._part_of = before or function._schema.name
        try:
            yield
        finally:
            self._part_of = before

    def _restrided(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        self.known.value(args[0], self.call)
        output = torch.ops.aten.as_strided.default(*args, **kwargs)
        self.known.restrided(args[0], output, self.call, self.source())
        return output

    # --- operators ------------------------------------------------------------------------------

    def record(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run an operator and add a node for it; the operators that it is made of add none."""
        op = Application(function, args, kwargs)
        values = [self.known.value(tensor, self.call) for tensor in op.operands]
        op.live = tuple(value.live for value in values)
        written = [tensor for tensors in op.written.values() for tensor in tensors]
        for tensor in written:
            self.parameters.check(tensor)
            self.known.value(tensor, self.call)
        output = self._run(op, args, kwargs)
        op.set_results(output)
        meaning = meaning_of(op)
        node = self.graph.add(
            op.title,
            meaning.role,
            meaning.rule,
            self._operands(meaning, values),
            [form_of(tensor) for tensor in op.results],
            meaning.run or _taking(meaning, op.run_again()),
            self.call,
            source=self.source(),
            channel_axis=meaning.channel_axis,
            adds_bias=meaning.adds_bias,
        )
        node.part_of = self._part_of
        if node.role is Role.NORMALIZATION:
            plain = bool, int, float
            node.settings = {k: v for k, v in op.arguments.items() if isinstance(v, plain)}
        for tensor, value in zip(op.results, node.results, strict=True):
            self.known.bind(tensor, value)
        for tensor in written:
            self._wrote(tensor, node.source)
        return output

    def _operands(self, meaning: Meaning, values: Sequence[Value]) -> list[Value]:
        if meaning.takes is None:
            return list(values)
        return [
            values[taken] if isinstance(taken, int) else self.known.value(taken, self.call)
            for taken in meaning.takes
        ]

    def _run(self, op: Application, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        before, self._paused = self._paused, True
        try:
            args, kwargs = self._as_run(op, args, kwargs)
            return op.function(*args, **kwargs)
        except Exception as error:
            if any(op.live) and not isinstance(error, CannotTraceError):
                self.note(_said(op, error))
            raise
        finally:
            self._paused = before

    def _as_run(
        self, op: Application, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """Arguments with which all is fake that depends on an input, and nothing else, if possible.

        A tensor with numbers into which something fake was written holds its old numbers still. So
        it is taken for fake; unless the operator writes into it, or gives a view of it.
        """
        fake = self._fake
        if fake is None:
            return args, kwargs
        if op.name in LIKE and not op.written:
            size = prod(op.get("size") or op.operands[0].shape)
            small = 0 < size <= (_LARGEST_DRAWN if op.name in DRAWN else _LARGEST)
            return _with(op, args, kwargs, _blank) if small else (args, kwargs)
        if any(
            live and not isinstance(t, FakeTensor)
            for live, t in zip(op.live, op.operands, strict=True)
        ):
            stale = {id(t) for live, t in zip(op.live, op.operands, strict=True) if live}

            def taken(tensor: torch.Tensor) -> torch.Tensor:
                real = id(tensor) in stale and not isinstance(tensor, FakeTensor)
                return fake.from_tensor(tensor) if real else tensor

            return _with(op, args, kwargs, taken)
        return args, kwargs

    def source(self) -> str:
        """The line of the model that runs just now."""
        if self.line:
            return self.line
        keras = getattr(sys.modules.get("keras"), "__file__", None)
        libraries = (_TORCH, str(Path(keras).parent)) if keras else (_TORCH,)
        return source_line(libraries, self._outermost)

    # --- what happens beside operators ----------------------------------------------------------

    def note(self, how: str) -> None:
        """The program reads numbers that depend on an input."""
        source = self.source()
        at = f" at {source}" if source else ""
        self.reads = self.reads or f"the program reads numbers that depend on its input ({how}{at})"

    def read(self, tensor: torch.Tensor, how: str, shares: bool) -> None:
        """The program reads a tensor without an operator.

        Raises:
            ReadsNumbersError: with fake inputs the tensor has no numbers to read.
        """
        tensor = unwrapped(tensor)
        value = self.known.get(tensor)
        if not isinstance(tensor, FakeTensor) and (value is None or not value.live):
            if shares:
                self.parameters.check(tensor)
                self.known.expose(tensor)
            return
        self.note(how)
        if self._fake is not None and not isinstance(tensor, FakeTensor):
            raise ReadsNumbersError(self.reads)

    def replaced(self, tensor: torch.Tensor, other: torch.Tensor) -> None:
        """A tensor holds from now on what another one holds."""
        tensor, other = unwrapped(tensor), unwrapped(other)
        self.known.bind(tensor, self.known.value(other, self.call))

    def _wrote(self, tensor: torch.Tensor, source: str) -> None:
        self.known.written(tensor, self.call, source)
        value = self.known.get(tensor)
        if value is None or not value.live or isinstance(tensor, FakeTensor):
            return
        if self.known.is_exposed(tensor):
            self.note("of memory that it shares with a tensor")

    def whole(self, function: Any) -> Callable[..., Any]:
        """Records a function that is made of many operators as one."""

        def recorded(called: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            packed = isinstance(args[2], torch.Tensor) or isinstance(args[3], list | tuple)
            if packed:
                return called(*args, **kwargs)
            return self.record(function, args, kwargs)

        return recorded

    def unforeseen(self, operator: str, operands: Sequence[Any], results: Any) -> None:
        """A node for what has no schema: each result may depend on everything."""
        values = [self.known.value(t, self.call) for t in tensors_in(operands)]
        outputs = list(tensors_in(results))
        node = self.graph.add(
            operator,
            Role.OTHER,
            Opaque(),
            values,
            [form_of(t) for t in outputs],
            None,
            self.call,
            source=self.source(),
        )
        for tensor, value in zip(outputs, node.results, strict=True):
            self.known.bind(tensor, value)


@cache
def _is_composite(function: Any) -> bool:
    """Whether an operator is defined by others, for every device."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), key)


def _said(op: Application, error: Exception) -> str:
    match error:
        case DynamicOutputShapeException():
            return f"how many there are in the result of {op.title}"
        case DataDependentOutputException():
            return op.title
    return f"{op.title}, {type(error).__name__}"


def _taking(meaning: Meaning, run: Run) -> Run:
    """The operator itself, with the operands in the order in which the node has them."""
    if meaning.takes is None:
        return run
    order = [meaning.takes.index(number) for number in range(len(meaning.takes))]
    return lambda arrays: run([arrays[place] for place in order])


def _blank(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same form, of whose numbers none is ever looked at."""
    if not isinstance(tensor, FakeTensor):
        return tensor
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.fake_device
    )


def _with(
    op: Application,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    change: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments with other tensors, but for those of which a result may be a view."""
    viewed = {a.name for a in arguments_of(op.function) if a.is_viewed}
    places = {a.place: a.name for a in arguments_of(op.function)}

    def changed(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return change(value)
        return [changed(part) for part in value] if isinstance(value, list | tuple) else value

    return (
        tuple(
            arg if places.get(place) in viewed else changed(arg) for place, arg in enumerate(args)
        ),
        {name: arg if name in viewed else changed(arg) for name, arg in kwargs.items()},
    )
