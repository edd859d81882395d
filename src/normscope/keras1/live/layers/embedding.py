"""`Embedding` of Keras 1.2.2. Source: Keras 1.2.2."""

# ruff: noqa: N803  # the arguments are called as in Keras 1

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from normscope.errors import ShapeError
from normscope.keras1.live.layers import constraints, initializers, regularizers
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor, registered


@registered
class Embedding(Keras1Layer):
    """The row of W of each index: (b, t) of integers to (b, t, output_dim).

    Args:
        input_dim: number of rows; an index is below it.
        output_dim: number of features.
        init: of W.
        input_length: the length of all sequences, where it is known.
        W_regularizer, activity_regularizer: penalties on W and on the output.
        W_constraint: on W.
        mask_zero: mask the places of the index 0 for the layers behind.
        weights: [W].
        dropout: share of the rows to drop in training, the same in the whole batch.

    >>> Embedding(10, 4).compute_output_shape((None, 6))
    (None, 6, 4)
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("input_dim", "output_dim", "init", "input_length", "mask_zero", "dropout"),
        *("activity_regularizer", "W_regularizer", "W_constraint"),
    )

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        init: initializers.Given = "uniform",
        input_length: int | None = None,
        W_regularizer: regularizers.Given = None,
        activity_regularizer: regularizers.Given = None,
        W_constraint: constraints.Given = None,
        mask_zero: bool = False,
        weights: Any = None,
        dropout: float = 0.0,
        **common: Any,
    ) -> None:
        common["input_shape"] = (input_length,)
        common["input_dtype"] = "int32"
        super().__init__(weights=weights, activity_regularizer=activity_regularizer, **common)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.init = initializers.resolve(init)
        self.input_length = input_length
        self.W_regularizer = regularizers.get(W_regularizer)
        self.W_constraint = constraints.get(W_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.dropout = dropout
        self.seed_generator = keras.random.SeedGenerator() if dropout else None

    def create_weights(self, input_shape: Any) -> None:
        """W, one row for each index."""
        if len(input_shape) != 2:
            raise ShapeError(
                f"{self.name}: expected sequences of indices (samples, times)", None, input_shape
            )
        self.W = self.weight(
            "W",
            (self.input_dim, self.output_dim),
            self.init,
            regularizer=self.W_regularizer,
            constraint=self.W_constraint,
        )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """(b, t, output_dim)."""
        return (input_shape[0], self.input_length or input_shape[1], self.output_dim)

    def compute_output_spec(self, x: Tensor, **kwargs: Any) -> Any:
        """The symbolic output: floats from integers."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=self.compute_dtype)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        """Where the index is not 0, with mask_zero."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """The rows."""
        rows = ops.convert_to_tensor(self.W)
        if training and 0 < self.dropout < 1:
            ones = ops.ones((self.input_dim, 1), dtype=rows.dtype)
            rows = rows * keras.random.dropout(ones, self.dropout, seed=self.seed_generator)
        return ops.take(rows, ops.cast(x, "int32"), axis=0)
