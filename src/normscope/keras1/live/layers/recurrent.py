"""The recurrent layers of Keras 1.2.2: `SimpleRNN`, `GRU` and `LSTM`.

`consume_less` decides how the weights of the gates are stored, and with it how dropout draws its
masks; what is computed is the same. Source: Keras 1.2.2.
"""

# ruff: noqa: N803  # the arguments are called as in Keras 1

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from keras import ops

from normscope.errors import ShapeError
from normscope.keras1.live.layers import activations, initializers, regularizers
from normscope.keras1.live.layers.base import Shape, Tensor, one_of, registered
from normscope.keras1.live.layers.kernel import sequence_shape
from normscope.keras1.live.layers.recurrence import Recurrence, States, Step

CONSUME_LESS = ("cpu", "mem", "gpu")


class Recurrent(Recurrence):
    """Base of `SimpleRNN`, `GRU` and `LSTM`: a sequence of vectors, and gates of matrices.

    Args:
        output_dim: number of features of the output.
        init, inner_init: of the matrices on the input (W) and on the output before (U). Where
            each gate has its own arrays, Keras 1 starts U by `init` too.
        activation: of the output.
        W_regularizer, U_regularizer, b_regularizer: penalties. Where each gate has its own arrays,
            Keras 1 applies W_regularizer to U too.
        dropout_W, dropout_U: share of the features of the input, and of the output before, to drop;
            the same ones at all times.
        consume_less: "cpu" and "mem": each gate has its own arrays; "gpu": one of each for all.
        input_dim, input_length: of a first layer, in place of input_shape.
        common: return_sequences, go_backwards, stateful, unroll and what every layer takes.
    """

    blocks: ClassVar[tuple[str, ...]] = ("",)
    """The gates in the order of the columns of joined arrays."""

    made: ClassVar[tuple[str, ...]] = ("",)
    """The gates in the order in which their own arrays are stored."""

    settings: ClassVar[tuple[str, ...]] = (
        *("output_dim", "init", "inner_init", "activation"),
        *("W_regularizer", "U_regularizer", "b_regularizer", "dropout_W", "dropout_U"),
        *("return_sequences", "go_backwards", "stateful", "unroll", "consume_less"),
        *("input_dim", "input_length"),
    )

    def __init__(
        self,
        output_dim: int,
        init: initializers.Given = "glorot_uniform",
        inner_init: initializers.Given = "orthogonal",
        activation: activations.Given = "tanh",
        W_regularizer: regularizers.Given = None,
        U_regularizer: regularizers.Given = None,
        b_regularizer: regularizers.Given = None,
        dropout_W: float = 0.0,
        dropout_U: float = 0.0,
        *,
        consume_less: str = "cpu",
        input_dim: int | None = None,
        input_length: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**sequence_shape(common, input_dim, input_length))
        self.output_dim = output_dim
        self.init = initializers.resolve(init)
        self.inner_init = initializers.resolve(inner_init)
        self.activation = activations.get(activation)
        self.W_regularizer = regularizers.get(W_regularizer)
        self.U_regularizer = regularizers.get(U_regularizer)
        self.b_regularizer = regularizers.get(b_regularizer)
        self.dropout_W = dropout_W
        self.dropout_U = dropout_U
        self.draws(dropout_W, dropout_U)
        self.consume_less = one_of("consume_less", consume_less, CONSUME_LESS)
        self.input_dim = input_dim
        self.input_length = input_length
        self.arrays: dict[str, Tensor] = {}

    # weights

    def create_weights(self, input_shape: Any) -> None:
        """W, U and b: one of each for all gates, or of each gate."""
        if len(input_shape) != 3:
            raise ShapeError(
                f"{self.name}: expected a sequence of vectors (samples, times, features)",
                None,
                input_shape,
            )
        self.input_dim = input_shape[-1]
        if self.joined:
            self._create("", len(self.blocks), self.inner_init, self.U_regularizer)
        else:
            for gate in self.made:
                self._create(f"_{gate}", 1, self.init, self.W_regularizer)

    def _create(
        self, end: str, blocks: int, inner: initializers.Given, penalty: regularizers.Given
    ) -> None:
        width = blocks * self.output_dim
        for letter, shape, init, regularizer in (
            ("W", (self.input_dim, width), self.init, self.W_regularizer),
            ("U", (self.output_dim, width), inner, penalty),
            ("b", (width,), self.bias_init(end), self.b_regularizer),
        ):
            name = letter + end
            self.arrays[name] = self.weight(name, shape, init, regularizer=regularizer)

    def bias_init(self, end: str) -> initializers.Given:
        """What the bias called `b<end>` starts from."""
        return "zero"

    @property
    def joined(self) -> bool:
        """Whether one array has all gates."""
        return len(self.blocks) == 1 or self.consume_less == "gpu"

    def all_gates(self, letter: str) -> Tensor:
        """The weights W, U or b of all gates, side by side."""
        if self.joined:
            return ops.convert_to_tensor(self.arrays[letter])
        return ops.concatenate([self.arrays[f"{letter}_{gate}"] for gate in self.blocks], axis=-1)

    def split(self, x: Tensor) -> list[Tensor]:
        """The last axis by gates."""
        parts: list[Tensor] = ops.split(x, len(self.blocks), axis=-1)
        return parts

    # computing

    def state_shape(self, input_shape: Shape) -> Shape:
        """(b, features)."""
        return (input_shape[0], self.output_dim)

    def project(self, x: Tensor, training: bool) -> Tensor:
        """The product x W + b of all gates, with dropout of x."""
        kernel, bias = self.all_gates("W"), self.all_gates("b")
        if not (training and self.drops_input):
            return ops.matmul(x, kernel) + bias
        kept = self.gate_masks(x, x.shape[-1], self.dropout_W)
        parts = zip(self.split(kernel), kept, strict=True)
        return ops.concatenate([ops.matmul(x * keep[:, None], W) for W, keep in parts], -1) + bias

    @property
    def drops_input(self) -> bool:
        """Whether dropout_W has an effect."""
        return 0 < self.dropout_W < 1

    def gate_masks(self, x: Tensor, width: int, rate: float) -> list[Tensor]:
        """A mask of dropout for each gate: its own, or the same one where the arrays are joined."""
        shape = (ops.shape(x)[0], width)
        if self.joined:
            return [self.dropped(shape, rate, x)] * len(self.blocks)
        return [self.dropped(shape, rate, x) for _ in self.blocks]

    def inner_products(
        self, x: Tensor, training: bool, *groups: Sequence[int]
    ) -> list[Callable[[Tensor], list[Tensor]]]:
        """For each group of gates, the function from the output before, h, to h U of these."""
        kernels = self.split(self.all_gates("U"))
        kept = None
        if training and 0 < self.dropout_U < 1:
            kept = self.gate_masks(x, self.output_dim, self.dropout_U)
        return [
            _products([kernels[k] for k in group], kept and [kept[k] for k in group])
            for group in groups
        ]

    def get_config(self) -> dict[str, Any]:
        """The config of Keras 1.2.2; of a stateful layer the whole shape of the input."""
        config = super().get_config()
        if self.stateful:
            del config["input_dim"], config["input_length"]
        return config


def _products(
    kernels: Sequence[Tensor], kept: Sequence[Tensor] | None
) -> Callable[[Tensor], list[Tensor]]:
    if kept is not None:
        pairs = list(zip(kept, kernels, strict=True))
        return lambda h: [ops.matmul(h * keep, kernel) for keep, kernel in pairs]
    together = ops.concatenate(kernels, axis=-1)
    return lambda h: list(ops.split(ops.matmul(h, together), len(kernels), axis=-1))


@registered
class SimpleRNN(Recurrent):
    """h' = activation(x W + b + h U).

    dropout_W has an effect with consume_less="cpu" alone, as in Keras 1.2.2.

    Args:
        output_dim, init, inner_init, activation, W_regularizer, U_regularizer, b_regularizer,
        dropout_W, dropout_U: as in `Recurrent`.

    >>> SimpleRNN(3).compute_output_shape((None, 5, 4))
    (None, 3)
    """

    @property
    def drops_input(self) -> bool:
        """Whether dropout_W has an effect."""
        return super().drops_input and self.consume_less == "cpu"

    def stepper(self, x: Tensor, training: bool) -> Step:
        """The step of the formula."""
        (product,) = self.inner_products(x, training, [0])

        def step(now: Tensor, states: States) -> States:
            (inner,) = product(states[0])
            return (self.activation(now + inner),)

        return step


class Gated(Recurrent):
    """Base of `GRU` and `LSTM`: recurrent layers with gates, which have their own activation.

    Args:
        inner_activation: of the gates.
    """

    settings: ClassVar[tuple[str, ...]] = (*Recurrent.settings, "inner_activation")

    def __init__(
        self,
        output_dim: int,
        init: initializers.Given = "glorot_uniform",
        inner_init: initializers.Given = "orthogonal",
        activation: activations.Given = "tanh",
        inner_activation: activations.Given = "hard_sigmoid",
        W_regularizer: regularizers.Given = None,
        U_regularizer: regularizers.Given = None,
        b_regularizer: regularizers.Given = None,
        dropout_W: float = 0.0,
        dropout_U: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(
            output_dim,
            init=init,
            inner_init=inner_init,
            activation=activation,
            W_regularizer=W_regularizer,
            U_regularizer=U_regularizer,
            b_regularizer=b_regularizer,
            dropout_W=dropout_W,
            dropout_U=dropout_U,
            **common,
        )
        self.inner_activation = activations.get(inner_activation)


@registered
class GRU(Gated):
    """Gated recurrent units; the reset gate acts before the product with U.

        z = inner_activation(x W_z + b_z + h U_z)
        r = inner_activation(x W_r + b_r + h U_r)
        h' = z * h + (1 - z) * activation(x W_h + b_h + (r * h) U_h)

    Args:
        output_dim, init, inner_init, activation, W_regularizer, U_regularizer, b_regularizer,
        dropout_W, dropout_U: as in `Recurrent`.
        inner_activation: of the gates z and r.

    Source: Cho et al., https://arxiv.org/abs/1409.1259

    >>> GRU(3, return_sequences=True).compute_output_shape((None, 5, 4))
    (None, 5, 3)
    """

    blocks = ("z", "r", "h")
    made = blocks

    def stepper(self, x: Tensor, training: bool) -> Step:
        """The step of the formula."""
        of_z_r, of_h = self.inner_products(x, training, [0, 1], [2])

        def step(now: Tensor, states: States) -> States:
            (h,) = states
            x_z, x_r, x_h = self.split(now)
            h_z, h_r = of_z_r(h)
            z = self.inner_activation(x_z + h_z)
            r = self.inner_activation(x_r + h_r)
            (h_h,) = of_h(r * h)
            return (z * h + (1 - z) * self.activation(x_h + h_h),)

        return step


@registered
class LSTM(Gated):
    """Long short-term memory.

        i, f, o = inner_activation(x W + b + h U), each with its own weights
        c' = f * c + i * activation(x W_c + b_c + h U_c)
        h' = o * activation(c')

    The arrays of the gates are stored in the order i, c, f, o; the blocks of joined ones
    (consume_less="gpu") in the order i, f, c, o.

    Args:
        output_dim, init, inner_init, activation, W_regularizer, U_regularizer, b_regularizer,
        dropout_W, dropout_U: as in `Recurrent`.
        forget_bias_init: of the bias of the gate f.
        inner_activation: of the gates i, f and o.

    Source: Hochreiter and Schmidhuber, Neural Computation 9 (1997).

    >>> LSTM(3, go_backwards=True).compute_output_shape((None, 5, 4))
    (None, 3)
    """

    blocks = ("i", "f", "c", "o")
    made = ("i", "c", "f", "o")
    state_count = 2

    settings: ClassVar[tuple[str, ...]] = (*Gated.settings, "forget_bias_init")

    def __init__(
        self,
        output_dim: int,
        init: initializers.Given = "glorot_uniform",
        inner_init: initializers.Given = "orthogonal",
        forget_bias_init: initializers.Given = "one",
        activation: activations.Given = "tanh",
        inner_activation: activations.Given = "hard_sigmoid",
        W_regularizer: regularizers.Given = None,
        U_regularizer: regularizers.Given = None,
        b_regularizer: regularizers.Given = None,
        dropout_W: float = 0.0,
        dropout_U: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(
            output_dim,
            init=init,
            inner_init=inner_init,
            activation=activation,
            inner_activation=inner_activation,
            W_regularizer=W_regularizer,
            U_regularizer=U_regularizer,
            b_regularizer=b_regularizer,
            dropout_W=dropout_W,
            dropout_U=dropout_U,
            **common,
        )
        self.forget_bias_init = initializers.resolve(forget_bias_init)

    def bias_init(self, end: str) -> initializers.Given:
        """Zero, but for the gate f."""
        if end == "_f":
            return self.forget_bias_init
        return self._joined_bias if self.joined else "zero"

    def _joined_bias(self, shape: Sequence[int]) -> npt.NDArray[np.generic]:
        forget = ops.convert_to_numpy(initializers.get(self.forget_bias_init)((self.output_dim,)))
        zeros = np.zeros_like(forget)
        return np.concatenate([forget if gate == "f" else zeros for gate in self.blocks])

    def stepper(self, x: Tensor, training: bool) -> Step:
        """The step of the formula."""
        (products,) = self.inner_products(x, training, [0, 1, 2, 3])

        def step(now: Tensor, states: States) -> States:
            h, c = states
            gates = zip(self.split(now), products(h), strict=True)
            i, f, new, o = (part + inner for part, inner in gates)
            i, f, o = (self.inner_activation(gate) for gate in (i, f, o))
            c = f * c + i * self.activation(new)
            return (o * self.activation(c), c)

        return step
