"""`Application`: one operator of PyTorch, applied once; `Meaning`: what that is in a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

from normscope.graph.operators import Role
from normscope.graph.rules import Rule

Run = Callable[[Sequence[Any]], Sequence[Any]]
"""Gives the results for the operands, which it changes in no way."""

RUNNING_STATISTICS = {
    "aten::native_batch_norm": "training",
    "aten::cudnn_batch_norm": "training",
    "aten::miopen_batch_norm": "training",
}
"""Operators that write running statistics without saying so, and the argument on which it hangs."""


@dataclass(frozen=True)
class Meaning:
    """What an application is in a graph.

    Attributes:
        role, rule, channel_axis, adds_bias: as of the node.
        takes: the operands of the node: numbers of operands of the application, and constants that
            it has as plain numbers; None for all operands as they come.
        run: gives the results for these operands; None for the operator itself, which needs all.
    """

    role: Role
    rule: Rule
    channel_axis: int | None = None
    adds_bias: bool = False
    takes: tuple[int | torch.Tensor, ...] | None = None
    run: Run | None = None


@dataclass(frozen=True)
class Argument:
    """One argument of an operator.

    Attributes:
        name: of it.
        default: its value where none is given.
        place: among those given by position; None where it is given by name only.
        is_written: the operator writes into it.
        is_out: it is written into, and what it held matters not.
        is_viewed: a result may be a view of it.
    """

    name: str
    default: Any
    place: int | None
    is_written: bool
    is_out: bool
    is_viewed: bool


@dataclass(frozen=True)
class Slot:
    """The place of an operand among arguments."""

    number: int


class Application:
    """One operator of PyTorch, applied once.

    Attributes:
        function: the operator.
        arguments: by name, with defaults.
        operands: the tensors in them, in the order of the arguments; what is only written to is
            none of them.
        live: whether each depends on an input of the model.
        results: the tensors that it makes, then those that it has written to.
    """

    def __init__(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.arguments: dict[str, Any] = {}
        self.operands: list[torch.Tensor] = []
        self.written: dict[str, list[torch.Tensor]] = {}
        self.live: tuple[bool, ...] = ()
        self.results: tuple[torch.Tensor, ...] = ()
        self._templates: list[tuple[Argument, Any]] = []
        for argument in arguments_of(function):
            if argument.place is not None and argument.place < len(args):
                value = args[argument.place]
            else:
                value = kwargs.get(argument.name, argument.default)
            self.arguments[argument.name] = value
            if argument.is_written or self._writes_hidden(argument.name, args, kwargs):
                self.written[argument.name] = list(tensors_in(value))
            self._templates.append((argument, value if argument.is_out else self._taken(value)))

    def _writes_hidden(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        condition = RUNNING_STATISTICS.get(self.function._schema.name, "")
        if not condition or name not in ("running_mean", "running_var"):
            return False
        place = {a.name: a.place for a in arguments_of(self.function)}[condition]
        if place is not None and place < len(args):
            return bool(args[place])
        return bool(kwargs.get(condition, False))

    def _taken(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            self.operands.append(value)
            return Slot(len(self.operands) - 1)
        if isinstance(value, list | tuple):
            return [self._taken(part) for part in value]
        return value

    # --- what rules ask -------------------------------------------------------------------------

    @cached_property
    def name(self) -> str:
        """The operator, without its overload, and without the mark of writing in place."""
        name: str = self.function._schema.name.split("::")[1]
        return name if name.startswith("__") else name.rstrip("_")

    @property
    def overload(self) -> str:
        """Which form of the operator."""
        return str(self.function._overloadname)

    @property
    def title(self) -> str:
        """The operator, as its users know it."""
        name: str = self.function._schema.name.removeprefix("aten::")
        return name if self.overload == "default" else f"{name}.{self.overload}"

    def __getitem__(self, name: str) -> Any:
        """An argument."""
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default where this operator has none of that name."""
        value = self.arguments.get(name)
        return default if value is None else value

    def number(self, name: str) -> int | None:
        """The number of the operand that is this argument; None where it is no tensor."""
        value = self.slots(name)
        return value.number if isinstance(value, Slot) else None

    def slots(self, name: str) -> Any:
        """An argument with slots in the place of tensors."""
        return next((t for a, t in self._templates if a.name == name), None)

    @property
    def ranks(self) -> list[int]:
        """Of the operands."""
        return [operand.dim() for operand in self.operands]

    @property
    def result(self) -> torch.Tensor:
        """The first of the results."""
        return self.results[0]

    # --- once more ------------------------------------------------------------------------------

    def set_results(self, output: Any) -> None:
        """Say what the operator gave."""
        self.results = tuple(results_of(self.function, output, self.written))

    def run_again(self) -> Run:
        """Does the same with other operands; holds no tensor of this application."""
        function = self.function
        blanks = [(t.shape, t.dtype, t.device) for t in self.results]
        templates = [
            (a, [Slot(-1)] * len(self.written[a.name]) if a.is_out else t)
            for a, t in self._templates
        ]
        written = tuple(self.written)
        state = (
            torch.get_rng_state() if torch.Tag.nondeterministic_seeded in function.tags else None
        )

        def run(operands: Sequence[Any]) -> Sequence[Any]:
            positional, named, changed = [], {}, {}
            fresh = (torch.empty(s, dtype=d, device=device) for s, d, device in blanks)
            for argument, template in templates:
                value = _filled(template, operands, argument.name in written, fresh)
                if argument.is_out:
                    value = value[0] if len(value) == 1 else value
                if argument.name in written:
                    changed[argument.name] = list(tensors_in(value))
                if argument.place is None:
                    named[argument.name] = value
                else:
                    positional.append(value)
            if state is None:
                output = function(*positional, **named)
            else:
                with torch.random.fork_rng(devices=[]):
                    torch.set_rng_state(state)
                    output = function(*positional, **named)
            return results_of(function, output, changed)

        return run


def _filled(template: Any, operands: Sequence[Any], clones: bool, fresh: Iterator[Any]) -> Any:
    if isinstance(template, Slot):
        if template.number < 0:
            return next(fresh)
        return operands[template.number].clone() if clones else operands[template.number]
    if isinstance(template, list):
        return [_filled(part, operands, clones, fresh) for part in template]
    return template


@cache
def arguments_of(function: Any) -> tuple[Argument, ...]:
    """The arguments of an operator, as its schema says."""
    arguments = []
    for place, argument in enumerate(function._schema.arguments):
        written = argument.alias_info is not None and argument.alias_info.is_write
        arguments.append(
            Argument(
                argument.name,
                argument.default_value if argument.has_default_value() else None,
                None if argument.kwarg_only else place,
                written,
                bool(argument.is_out),
                argument.alias_info is not None,
            )
        )
    return tuple(arguments)


def results_of(
    function: Any, output: Any, written: dict[str, list[torch.Tensor]]
) -> list[torch.Tensor]:
    """What an operator makes, then what it has only written to.

    What is returned of a tensor that was written to may be another object: the tensor counts.
    """
    left = dict(written)
    returns = function._schema.returns
    outputs = [output] if len(returns) == 1 else list(output or ())
    sets = {
        frozenset(argument.alias_info.before_set): argument.name
        for argument in function._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    found: list[torch.Tensor] = []
    for declared, value in zip(returns, outputs, strict=True):
        alias = declared.alias_info
        name = sets.get(frozenset(alias.before_set)) if alias and alias.is_write else None
        found += tensors_in(value) if name is None else left.pop(name, ())
    return found + [tensor for tensors in left.values() for tensor in tensors]


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in an argument or a result of an operator."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
