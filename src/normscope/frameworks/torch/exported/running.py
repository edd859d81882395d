"""Running a program step by step, with whoever listens to its steps and the layers they lie in."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch

from normscope.frameworks.torch.exported.layers import Stay, last_uses, stays
from normscope.frameworks.torch.exported.program import Body, Control, Layer, Ref, Step


class Listener:
    """Hears what is run; this one does nothing with it.

    Attributes:
        records: branches are recorded: of each, both are run, and the results are chosen from.
    """

    records = False

    def enter(self, layer: Layer, inputs: tuple[Any, ...]) -> None:
        """The steps that follow lie in a call of a layer."""

    def leave(self, layer: Layer, outputs: tuple[Any, ...]) -> None:
        """The call of the layer that was entered last is over, or interrupted."""

    def step(self, step: Step) -> None:
        """A step is about to run."""

    def call(self, function: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Call the operator of the step, or the function of integers."""
        return _INSTEAD.get(function, function)(*arguments, **named)


_INSTEAD = {torch.ops.aten.detach_.default: torch.ops.aten.detach.default}
"""Gradients are not asked for, and some views refuse to be detached in place."""


class CannotFollowError(Exception):
    """A program does what is not followed; the text says what."""


class Run:
    """One run of a program.

    Args:
        listener: hears of it.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def body(self, body: Body, values: dict[str, Any], around: tuple[Layer, ...] = ()) -> list[Any]:
        """The outputs of a body; `values` has its inputs, and grows.

        Args:
            body: its steps are run.
            values: by their names.
            around: the layers in which all of it lies.
        """
        plan = _plan(body)
        for number, step in enumerate(body.steps):
            for stay in plan.ending(number):
                self._leave(stay, values, around)
            for stay in plan.beginning(number):
                if stay.layer not in around:
                    self.listener.enter(stay.layer, tuple(values.get(n) for n in stay.inputs))
            self.listener.step(step)
            arguments = _told(step.arguments, values)
            named = _told(dict(step.named), values)
            _bind(step.results, self._called(step, arguments, named), values)
            for name in plan.last[number]:
                values.pop(name, None)
        for stay in plan.ending(len(body.steps)):
            self._leave(stay, values, around)
        return [_told(output, values) for output in body.outputs]

    def _leave(self, stay: Stay, values: dict[str, Any], around: tuple[Layer, ...]) -> None:
        if stay.layer not in around:
            self.listener.leave(stay.layer, tuple(values.get(name) for name in stay.outputs))

    def _called(self, step: Step, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        if not isinstance(step.function, Control):
            return self.listener.call(step.function, arguments, named)
        control = CONTROLS.get(step.function.name)
        if control is None:
            raise CannotFollowError(f"it runs {step.function.name}, which is not followed")

        def run(body: Body, given: Sequence[Any]) -> Any:
            values = dict(zip(body.inputs, given, strict=True))
            outputs = self.body(body, values, step.layers)
            return outputs[0] if body.single else tuple(outputs)

        return control(run, self.listener.records, *arguments, **named)


class _Plan:
    """What is known of a body before it runs."""

    def __init__(self, body: Body) -> None:
        self.last = last_uses(body)
        self._starts: dict[int, list[Stay]] = {}
        self._stops: dict[int, list[Stay]] = {}
        for stay in stays(body):
            self._starts.setdefault(stay.start, []).append(stay)
            self._stops.setdefault(stay.stop, []).insert(0, stay)  # the inner first

    def beginning(self, number: int) -> list[Stay]:
        """The stays whose first step this is, the outer first."""
        return self._starts.get(number, [])

    def ending(self, number: int) -> list[Stay]:
        """The stays that end before this step, the inner first."""
        return self._stops.get(number, [])


_plan = lru_cache(maxsize=256)(_Plan)


def _told(value: Any, values: dict[str, Any]) -> Any:
    """Arguments with values in the place of their names."""
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, tuple | list):
        return type(value)(_told(part, values) for part in value) if value else value
    if isinstance(value, dict):
        return {key: _told(part, values) for key, part in value.items()}
    return value


def _bind(results: Any, value: Any, values: dict[str, Any]) -> None:
    if isinstance(results, str):
        values[results] = value
    elif isinstance(results, tuple):
        for name, part in zip(results, value, strict=True):
            _bind(name, part, values)


# --- what runs bodies ---------------------------------------------------------------------------

RunBody = Callable[[Body, Sequence[Any]], Any]


def _within(context: AbstractContextManager[Any], run: RunBody, body: Body, given: Any) -> Any:
    with context:
        return run(body, given)


def _set_grad(run: RunBody, records: bool, enabled: bool, body: Body, *given: Any) -> Any:
    return run(body, given)  # gradients are not asked for


def _autocast(
    run: RunBody,
    records: bool,
    device: str,
    dtype: torch.dtype | None,
    enabled: bool,
    cached: bool | None,
    body: Body,
    *given: Any,
) -> Any:
    context: Any = torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)
    return _within(context, run, body, given)


def _plain(run: RunBody, records: bool, body: Body, *given: Any, **_: Any) -> Any:
    return run(body, given)


def _invoke(run: RunBody, records: bool, body: Body, name: Any, *given: Any) -> Any:
    return run(body, given)


def _hints(
    run: RunBody, records: bool, body: Body, given: Sequence[Any], named: Any, hints: Any
) -> Any:
    return _within(nullcontext(), run, body, given)


def _cond(
    run: RunBody, records: bool, chooses: Any, yes: Body, no: Body, given: Sequence[Any] = ()
) -> Any:
    if not records or not isinstance(chooses, torch.Tensor):
        return run(yes if chooses else no, given)
    one, other = run(yes, given), run(no, given)
    if isinstance(one, torch.Tensor):
        return torch.where(chooses, one, other)
    return tuple(
        torch.where(chooses, a, b) if isinstance(a, torch.Tensor) else a
        for a, b in zip(one, other, strict=True)
    )


def _while_loop(
    run: RunBody,
    records: bool,
    goes_on: Body,
    body: Body,
    carried: Sequence[Any],
    same: Sequence[Any] = (),
) -> Any:
    if records:
        raise CannotFollowError("how often its while_loop runs depends on numbers")
    carried = tuple(carried)
    while run(goes_on, (*carried, *same)):
        carried = tuple(run(body, (*carried, *same)))
    return carried


MOST_ROUNDS = 256
"""Of a scan or a map, in a recording: each round has nodes of its own."""


def _rounds(slices: Sequence[torch.Tensor], records: bool) -> Iterator[tuple[torch.Tensor, ...]]:
    count = len(slices[0])
    if records and count > MOST_ROUNDS:
        raise CannotFollowError(f"its scan has {count} rounds, more than {MOST_ROUNDS}")
    return (tuple(part[number] for part in slices) for number in range(count))


def _scan(
    run: RunBody,
    records: bool,
    body: Body,
    carried: Sequence[Any],
    slices: Sequence[torch.Tensor],
    same: Sequence[Any] = (),
) -> Any:
    carried, made = tuple(carried), []
    for parts in _rounds(slices, records):
        results = tuple(run(body, (*carried, *parts, *same)))
        carried = results[: len(carried)]
        made.append(results[len(carried) :])
    return (*carried, *(torch.stack(parts) for parts in zip(*made, strict=True)))


def _map(
    run: RunBody,
    records: bool,
    body: Body,
    slices: Sequence[torch.Tensor],
    same: Sequence[Any] = (),
) -> Any:
    made = [run(body, (*parts, *same)) for parts in _rounds(slices, records)]
    if isinstance(made[0], torch.Tensor):
        return torch.stack(made)
    return tuple(torch.stack(parts) for parts in zip(*made, strict=True))


CONTROLS: dict[str, Callable[..., Any]] = {
    "wrap_with_set_grad_enabled": _set_grad,
    "wrap_with_autocast": _autocast,
    "wrap": _plain,
    "tag_activation_checkpoint": _plain,
    "invoke_subgraph": _invoke,
    "hints_wrapper": _hints,
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
}
"""What runs bodies, by its name in `torch.ops.higher_order`."""

MAX_INTEGER = 2**63


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, of small numbers only: large ones and lists could grow without end."""

    def called(*arguments: Any) -> Any:
        result = function(*arguments)
        for value in (*arguments, result):
            if isinstance(value, tuple | list | str) or (
                isinstance(value, int) and abs(value) > MAX_INTEGER
            ):
                raise CannotFollowError(f"it computes with {type(value).__name__}s that grow")
        return result

    return called


INTEGERS: dict[str, Callable[..., Any]] = {
    "_operator.getitem": operator.getitem,
    **{
        f"_operator.{name}": _of_numbers(getattr(operator, name))
        for name in (
            *("add", "sub", "mul", "floordiv", "mod", "neg", "truediv", "pos"),
            *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_"),
        )
    },
    **{
        f"torch.{name}": getattr(torch, name)
        for name in ("sym_max", "sym_min", "sym_not", "sym_float", "sym_ite", "sym_int")
        if hasattr(torch, name)
    },
}
"""The functions of numbers that are no tensors, by the names that files have for them."""
