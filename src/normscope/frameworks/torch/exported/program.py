"""`Program`: an exported program of PyTorch, step by step, whether it came as object or as file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a name, in the arguments of a step."""

    name: str


@dataclass(frozen=True, slots=True)
class Control:
    """What runs bodies, by its name in `torch.ops.higher_order`: "cond"."""

    name: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A call of a layer in which a step lies.

    Attributes:
        key: tells this call from others.
        path: the layer, as its user names it.
        type: the name of its class.
    """

    key: str
    path: str
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operator, applied once.

    Attributes:
        function: what is called: an operator, a `Control`, or a function of integers.
        arguments, named: with `Ref` for values, and `Body` for what a `Control` runs.
        results: the name of the result; of several a tuple of names, None for those not named.
        layers: the calls in which it lies, the outermost first, without that of the model.
        source: "file.py:12"; "" if it is not known.
    """

    function: Any
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    results: Any
    layers: tuple[Layer, ...] = ()
    source: str = ""


@dataclass(frozen=True, eq=False)
class Body:
    """Steps with inputs and outputs.

    Attributes:
        inputs: their names.
        steps: in order.
        outputs: a `Ref` for each value; else a constant.
        single: what it gives is its only output, not a tuple.
    """

    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]
    single: bool = False

    def all_steps(self) -> Iterator[Step]:
        """The steps, and those of the bodies that they run."""
        for step in self.steps:
            yield step
            for part in step.arguments:
                if isinstance(part, Body):
                    yield from part.all_steps()


@dataclass(frozen=True)
class Size:
    """A length that the caller of a program chooses.

    Attributes:
        at_export: what it was.
        least: what it must be at least.
        free: it stands for itself, and is not computed from others.
    """

    at_export: int
    least: int = 0
    free: bool = True


@dataclass(frozen=True)
class Taken:
    """An input of a program, which its caller gives.

    Attributes:
        name: of the placeholder.
        shape: None where it is no tensor.
        dtype: of the tensor.
        value: what it must be, where it is no tensor.
    """

    name: str
    shape: tuple[int | Size, ...] | None = None
    dtype: torch.dtype | None = None
    value: Any = None

    def misfit(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape is not what the program was exported for."""
        if self.shape is None or len(shape) != len(self.shape):
            return self.shape is not None
        return any(
            given < own.least if isinstance(own, Size) else given != own
            for given, own in zip(shape, self.shape, strict=True)
        )

    def __str__(self) -> str:
        sizes = ["any" if isinstance(size, Size) else str(size) for size in self.shape or ()]
        return f"{self.name} of shape ({', '.join(sizes)})"


@dataclass(frozen=True, eq=False)
class Program:
    """A whole program.

    Attributes:
        body: its inputs are those that the caller gives.
        taken: what the caller gives, in order.
        held: the tensors that it holds, by their paths; parameters are `torch.nn.Parameter`s.
        names: the names by which the body knows them, with their paths.
        written: what a run writes back: the path, and the number of the output.
        outputs: the numbers of those outputs of the body that the caller gets.
        signature: of a call.
        flattened: takes positional and named arguments apart into what is taken.
        unflattened: puts them together again.
        built: the outputs in the form in which the caller gets them.
        untrusted: it came as a file from anybody.
        source: the file; "" if it came as an object.
    """

    body: Body
    taken: tuple[Taken, ...]
    held: Mapping[str, torch.Tensor]
    names: Mapping[str, str]
    written: Mapping[str, int]
    outputs: tuple[int, ...]
    signature: inspect.Signature
    flattened: Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]
    unflattened: Callable[[list[Any]], tuple[tuple[Any, ...], dict[str, Any]]]
    built: Callable[[list[Any]], Any]
    untrusted: bool = False

    @property
    def trains(self) -> bool:
        """Whether it was exported in training, as far as a dropout or a batch norm tells."""
        return any(map(_trains, self.body.all_steps()))


def _trains(step: Step) -> bool:
    if not isinstance(step.function, torch._ops.OpOverload):
        return False
    if "_batch_norm_with_update" in step.function._schema.name:
        return True
    names = [argument.name for argument in step.function._schema.arguments]
    given = {**dict(zip(names, step.arguments, strict=False)), **step.named}
    return given.get("training", given.get("train")) is True


def call_signature(
    positional: Sequence[str], named: Sequence[str], defaults: Mapping[str, Any]
) -> inspect.Signature:
    """The signature of a program.

    Args:
        positional: the names of its arguments by position.
        named: of those by name only.
        defaults: of those that are no tensors, what they were at export.

    >>> str(call_signature(["x"], ["flag"], {"flag": True}))
    '(x, *, flag=True)'
    """
    either, only = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    kinds = [*((name, either) for name in positional), *((name, only) for name in named)]
    parameters = [
        inspect.Parameter(name, kind, default=defaults.get(name, inspect.Parameter.empty))
        for name, kind in kinds
    ]
    for number in range(len(positional) - 1, 0, -1):  # none without a default behind one with it
        before, after = parameters[number - 1 : number + 1]
        if after.default is inspect.Parameter.empty:
            parameters[number - 1] = before.replace(default=inspect.Parameter.empty)
    return inspect.Signature(parameters)


def layer_of(key: str, path: str, kind: str) -> Layer | None:
    """The call of a layer; None for that of the model itself."""
    path = path.removeprefix("L['self']").lstrip(".")
    if not path or path.startswith("_empty_nn_module_stack"):
        return None
    name = kind.rpartition(".")[2]
    if name == "Norm" and kind.startswith("normscope.layers.torch."):
        name = OWN_NORM
    return Layer(key, path, name)


OWN_NORM = "normscope.layers.torch.Norm"
"""The layer of normscope, told apart from others of the name `Norm`."""

_NOT_THE_USERS = tuple(
    folder.replace("/", slash)
    for folder in ("-packages/torch/", "/normscope/layers/torch/", "<eval_with_key>")
    for slash in "/\\"
)
"""Folders of torch and of the layer, wherever the export was made, and code that torch made."""


def source_of(stack_trace: str) -> str:
    r"""The innermost line of a program in a stack trace, "file.py:12"; "" if there is none.

    >>> source_of('File "/a/net.py", line 7, in f\n  File "/site-packages/torch/x.py", line 1')
    'net.py:7'
    """
    for line in reversed(stack_trace.splitlines()):
        file, found, rest = line.strip().removeprefix('File "').partition('", line ')
        if found and not any(part in file for part in _NOT_THE_USERS):
            return f"{PurePath(file).name}:{rest.partition(',')[0]}"
    return ""
