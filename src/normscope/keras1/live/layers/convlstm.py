"""`ConvLSTM2D` of Keras 1.2.2. Source: Keras 1.2.2."""

# ruff: noqa: N803  # the arguments are called as in Keras 1

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from normscope.errors import ShapeError
from normscope.keras1.live.layers import activations, border, initializers, regularizers
from normscope.keras1.live.layers.base import Shape, Tensor, one_of, registered
from normscope.keras1.live.layers.convolution_base import kernel_shape
from normscope.keras1.live.layers.ordering import kernel_channels_last, resolve_ordering
from normscope.keras1.live.layers.recurrence import Recurrence, States, Step

GATES = ("i", "c", "f", "o")  # in the order in which their arrays are stored


@registered
class ConvLSTM2D(Recurrence):
    """An LSTM over images: (b, t, channels, rows, cols), or with the channels last.

        i, f, o = inner_activation(x * W + b + h * U), each with its own weights
        c' = f * c + i * activation(x * W_c + b_c + h * U_c)
        h' = o * activation(c')

    Here x * W is a convolution, that of h with border_mode="same" and without strides. A file of
    Keras 1 lacks `subsample` and `dropout_W`, `dropout_U`: Keras 1 itself loads it with the
    defaults. The regularizers had no effect in Keras 1.2.2, and have none here.

    Args:
        nb_filter: how many outputs at each position.
        nb_row, nb_col: size of the kernels.
        init, inner_init, forget_bias_init: of the kernels on the input (W) and on the output before
            (U), and of the bias of the gate f.
        activation, inner_activation: of the output, and of the gates.
        dim_ordering: "th", "tf" or "default".
        border_mode: "valid", "same" or "full", of the convolution of the input.
        subsample: its strides.
        W_regularizer, U_regularizer, b_regularizer: without effect.
        dropout_W, dropout_U: share of the values of the input, and of the output before, to drop;
            the same ones at all times.
        common: return_sequences, go_backwards, stateful, unroll and what every layer takes.

    >>> layer = ConvLSTM2D(3, 3, 3, border_mode="same", dim_ordering="th", return_sequences=True)
    >>> layer.compute_output_shape((None, 5, 2, 8, 7))
    (None, 5, 3, 8, 7)
    """

    flips_kernels = True
    state_count = 2

    settings: ClassVar[tuple[str, ...]] = (
        *("nb_filter", "nb_row", "nb_col", "init", "inner_init", "forget_bias_init"),
        *("activation", "inner_activation", "dim_ordering", "border_mode", "subsample"),
        *("W_regularizer", "U_regularizer", "b_regularizer", "dropout_W", "dropout_U"),
        *("return_sequences", "go_backwards", "stateful"),
    )

    def __init__(
        self,
        nb_filter: int,
        nb_row: int,
        nb_col: int,
        init: initializers.Given = "glorot_uniform",
        inner_init: initializers.Given = "orthogonal",
        forget_bias_init: initializers.Given = "one",
        activation: activations.Given = "tanh",
        inner_activation: activations.Given = "hard_sigmoid",
        dim_ordering: str = "default",
        border_mode: str = "valid",
        subsample: Sequence[int] = (1, 1),
        W_regularizer: regularizers.Given = None,
        U_regularizer: regularizers.Given = None,
        b_regularizer: regularizers.Given = None,
        dropout_W: float = 0.0,
        dropout_U: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.nb_filter = nb_filter
        self.nb_row = nb_row
        self.nb_col = nb_col
        self.init = initializers.resolve(init)
        self.inner_init = initializers.resolve(inner_init)
        self.forget_bias_init = initializers.resolve(forget_bias_init)
        self.activation = activations.get(activation)
        self.inner_activation = activations.get(inner_activation)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.border_mode = one_of("border_mode", border_mode, border.CONVOLUTION_MODES)
        self.subsample = tuple(subsample)
        self.W_regularizer = regularizers.get(W_regularizer)
        self.U_regularizer = regularizers.get(U_regularizer)
        self.b_regularizer = regularizers.get(b_regularizer)
        self.dropout_W = dropout_W
        self.dropout_U = dropout_U
        self.draws(dropout_W, dropout_U)
        self.arrays: dict[str, Tensor] = {}

    # shapes and weights

    def create_weights(self, input_shape: Any) -> None:
        """W, U and b of each gate; the kernels in the layout of `dim_ordering`."""
        channels, *_ = self._image(input_shape)
        size, ordering = (self.nb_row, self.nb_col), self.dim_ordering
        outer = kernel_shape(size, channels, self.nb_filter, ordering)
        inner = kernel_shape(size, self.nb_filter, self.nb_filter, ordering)
        for gate in GATES:
            for letter, shape, init in (
                ("W", outer, self.init),
                ("U", inner, self.inner_init),
                ("b", (self.nb_filter,), self.forget_bias_init if gate == "f" else "zero"),
            ):
                name = f"{letter}_{gate}"
                self.arrays[name] = self.weight(name, shape, init, dim_ordering=ordering)

    def _image(self, input_shape: Shape) -> Shape:
        """(channels, rows, cols) of an input."""
        if len(input_shape) != 5:
            raise ShapeError(
                f"{self.name}: expected a sequence of images, of 5 axes", None, input_shape
            )
        image = tuple(input_shape[2:])
        return image if self.dim_ordering == "th" else (image[-1], *image[:-1])

    def state_shape(self, input_shape: Shape) -> Shape:
        """(b, rows, cols, channels), as the states are kept for either dim_ordering."""
        _, *sizes = self._image(input_shape)
        return (input_shape[0], *map(self._length, sizes, (0, 1)), self.nb_filter)

    def _length(self, size: int | None, axis: int) -> int | None:
        kernel, stride = (self.nb_row, self.nb_col)[axis], self.subsample[axis]
        if size is None:
            return None
        added = {"same": 0, "valid": 1 - kernel, "full": kernel - 1}[self.border_mode]
        return -(-(size + added) // stride)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Images, or sequences of them, in the layout of `dim_ordering`."""
        *before, rows, cols, channels = super().compute_output_shape(input_shape)
        image = (channels, rows, cols) if self.dim_ordering == "th" else (rows, cols, channels)
        return (*before, *image)

    # computing; the channels are last

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """The outputs of all times, or the last."""
        y = super().call(x, mask=mask, training=training)
        return ops.moveaxis(y, -1, -3) if self.dim_ordering == "th" else y

    def project(self, x: Tensor, training: bool) -> Tensor:
        """The convolution of all inputs with W of all gates, and b."""
        x = ops.moveaxis(x, -3, -1) if self.dim_ordering == "th" else x
        kernels = self._kernels("W")
        if training and 0 < self.dropout_W < 1:
            shape = (ops.shape(x)[0], 1, *ops.shape(x)[2:])
            parts = [
                self._of_sequence(x * self.dropped(shape, self.dropout_W, x), kernel)
                for kernel in kernels
            ]
            y = ops.concatenate(parts, axis=-1)
        else:
            y = self._of_sequence(x, ops.concatenate(kernels, axis=-1))
        return y + ops.concatenate([self.arrays[f"b_{gate}"] for gate in GATES], axis=0)

    def _kernels(self, letter: str) -> list[Tensor]:
        arrays = [ops.convert_to_tensor(self.arrays[f"{letter}_{gate}"]) for gate in GATES]
        return [kernel_channels_last(array, self.dim_ordering) for array in arrays]

    def _of_sequence(self, x: Tensor, kernel: Tensor) -> Tensor:
        batch, time, *image = ops.shape(x)
        images = ops.reshape(x, (batch * time, *image))
        y = self._convolved(images, kernel, self.subsample, self.border_mode)
        return ops.reshape(y, (batch, time, *ops.shape(y)[1:]))

    def _convolved(
        self, x: Tensor, kernel: Tensor, strides: Sequence[int], border_mode: str
    ) -> Tensor:
        if border.framework_pads(border_mode, self.origin):
            return ops.conv(x, kernel, strides, border_mode, data_format="channels_last")
        pads = border.theano_pads((self.nb_row, self.nb_col), border_mode)
        padded = border.pad_space(x, pads)
        y = ops.conv(padded, kernel, strides, "valid", data_format="channels_last")
        return border.cut_to_same(y, x, strides) if border_mode == "same" else y

    def stepper(self, x: Tensor, training: bool) -> Step:
        """The step of the formula."""
        kernels, kept = self._kernels("U"), None
        joined = ops.concatenate(kernels, axis=-1)
        if training and 0 < self.dropout_U < 1:
            shape = (ops.shape(x)[0], *self.state_shape(x.shape)[1:])
            kept = [self.dropped(shape, self.dropout_U, x) for _ in GATES]

        def inner(h: Tensor) -> list[Tensor]:
            if kept is None:
                return list(ops.split(self._convolved(h, joined, (1, 1), "same"), 4, axis=-1))
            pairs = zip(kept, kernels, strict=True)
            return [self._convolved(h * keep, kernel, (1, 1), "same") for keep, kernel in pairs]

        def step(now: Tensor, states: States) -> States:
            h, c = states
            parts = zip(ops.split(now, 4, axis=-1), inner(h), strict=True)
            i, new, f, o = (outer + recurrent for outer, recurrent in parts)
            i, f, o = (self.inner_activation(gate) for gate in (i, f, o))
            c = f * c + i * self.activation(new)
            return (o * self.activation(c), c)

        return step
