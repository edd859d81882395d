"""Losses that use other tensors of a model than its output, as scripts of Keras 1 wrote them.

A loss of Keras 1 was a part of the graph, so it could use whatever was in its reach:

    def vae_loss(x, decoded):
        return K.sum(K.square(x - decoded), axis=-1) + K.sum(K.square(z_mean), axis=-1)

Keras 3 calls a loss on the values of (y_true, y_pred) alone. So the loss is traced once, with
symbolic labels and predictions; the tensors of the model that it turns out to use become outputs
of the model while it trains, and their values go into the traced loss.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from normscope.errors import SpecError

Tensor = Any


class Captures:
    """What the losses of one model use besides its outputs, and their functions of values.

    Args:
        model: the functional model.
        traced: for each output the inputs and the output of the traced loss, or None.
        losses: as given, for each output.
    """

    def __init__(
        self,
        model: keras.Model,
        traced: Sequence[tuple[list[Tensor], Tensor] | None],
        losses: Sequence[Any],
    ) -> None:
        used = [tensor for one in traced if one for tensor in one[0][2:]]
        self.tensors = list({id(tensor): tensor for tensor in used}.values())
        self.outputs = keras.tree.flatten(model.outputs)
        self.wider = keras.Model(model.inputs, [*self.outputs, *self.tensors])
        self.values: dict[int, Tensor] = {}
        self.losses = [
            loss if one is None else self._of_values(loss, *one)
            for loss, one in zip(losses, traced, strict=True)
        ]

    @classmethod
    def of(cls, model: keras.Model, losses: Sequence[Any]) -> Captures | None:
        """The captures of the losses of a model, one for each output; None if there are none.

        Raises:
            SpecError: a loss uses tensors that do not follow from the inputs of the model, or
                cannot be traced.
        """
        outputs = keras.tree.flatten(model.outputs)
        traced = [
            _traced(loss, output, model) if any(_symbolic_in(loss)) else None
            for loss, output in zip(losses, outputs, strict=True)
        ]
        return cls(model, traced, losses) if any(traced) else None

    def call(self, inputs: Any, **options: Any) -> Any:
        """The outputs of the model; the values of what is captured are kept for the losses."""
        found = self.wider(inputs, **options)
        count = len(self.outputs)
        values = zip(self.tensors, found[count:], strict=True)
        self.values = {id(tensor): value for tensor, value in values}
        return found[0] if count == 1 else found[:count]

    def build(self, model: Any) -> None:
        """Let Keras know the structure of the losses now, and not trace them on their own later."""
        outputs = keras.tree.map_structure(
            lambda x: keras.KerasTensor(x.shape, x.dtype), self.outputs
        )
        y = outputs[0] if len(outputs) == 1 else outputs
        for part in (model._compile_loss, model._compile_metrics):
            if part is not None:
                part.build(y, y)

    def _of_values(self, loss: Any, inputs: list[Tensor], score: Tensor) -> Any:
        function = keras.Function(inputs, score)
        captured = inputs[2:]

        @functools.wraps(loss, updated=())
        def of_values(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return function([y_true, y_pred, *(self.values[id(one)] for one in captured)])

        return of_values


def _traced(
    loss: Callable[..., Tensor], output: Tensor, model: keras.Model
) -> tuple[list[Tensor], Tensor] | None:
    """The inputs (labels, prediction, captured tensors) and the output of a loss."""
    y_true, y_pred = (keras.Input(batch_shape=output.shape, dtype=output.dtype) for _ in range(2))
    score = loss(y_true, y_pred)
    if not isinstance(score, keras.KerasTensor):
        return None
    captured = list(_captured(score, {id(y_true), id(y_pred)}, _tensors_of(model)))
    return ([y_true, y_pred, *captured], score) if captured else None


def _captured(score: Tensor, own: set[int], known: set[int]) -> Iterator[Tensor]:
    """The tensors of the model from which the score follows, the nearest ones."""
    seen: set[int] = set()
    pending = [score]
    while pending:
        tensor = pending.pop()
        if id(tensor) in own or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in known:
            yield tensor
            continue
        operation, node, _ = tensor._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        if not inputs:
            raise SpecError(
                f"the loss uses the tensor {tensor.name!r}, which does not follow from the inputs "
                "of this model"
            )
        pending += inputs


def _tensors_of(model: keras.Model) -> set[int]:
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    return {id(tensor) for node in nodes for tensor in node.output_tensors}


def _symbolic_in(value: Any, seen: set[int] | None = None) -> Iterator[bool]:
    """True for each symbolic tensor that a function can reach through its closure or globals."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, keras.KerasTensor):
        yield True
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _symbolic_in(item, seen)
    elif isinstance(value, functools.partial):
        yield from _symbolic_in((value.func, *value.args, *value.keywords.values()), seen)
    elif inspect.ismethod(value):
        yield from _symbolic_in((value.__func__, *vars(value.__self__).values()), seen)
    elif inspect.isfunction(value) and not value.__module__.startswith(("keras", "normscope")):
        reached = inspect.getclosurevars(value)
        yield from _symbolic_in((*reached.nonlocals.values(), *reached.globals.values()), seen)
        yield from _symbolic_in(value.__defaults__ or (), seen)
