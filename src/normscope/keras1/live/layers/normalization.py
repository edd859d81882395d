"""`BatchNormalization` of Keras 1: three modes in one layer, and formulas that changed by release.

Source: the Keras releases 1.0.0 to 1.2.2, and recorded outputs of 1.0.5, 1.0.8 and 1.2.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.errors import ContractWarning, ShapeError, SpecError
from normscope.frameworks.keras1.presets import LATEST, batch_normalization, facts_of
from normscope.frameworks.keras1.settings import KERAS1_MODE_1_WORDS
from normscope.keras1.live.layers import initializers, regularizers
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor, one_of, registered
from normscope.layers.keras.formula import normalize, normalized
from normscope.notation.layout import Layout
from normscope.notation.running import Running, stored_variance, updated
from normscope.notation.spec import NormSpec
from normscope.wording import counted

CONTRACTS = ("warn", "error", "ignore")


@registered
class BatchNormalization(Keras1Layer):
    """Batch normalization, or what mode 1 makes of it.

        mode 0   gamma * (x - m) / sqrt(v + e) + beta, per index of `axis`, over all else;
                 outside training with the running mean and variance
        mode 1   gamma * (x - m) / (sqrt(v + e) + e) + beta, over the last axis, whatever `axis`;
                 up to release 1.0.4 the divisor is sqrt(v) + e
        mode 2   as mode 0 in training, always

    `trainable=False` stops neither the updates of the running values nor the use of the batch's
    own statistics in training, as in Keras 1. `running_std` holds a variance; with the origin
    "theano" it is the variance plus epsilon from release 1.2.0 on.

    Releases 1.0.0 to 1.0.5, and 1.0.6 with the origin "theano" or "theano<0.9", divide by
    sqrt(v + e) + e in modes 0 and 2, and `running_std` holds the deviation sqrt(v + e): outside
    training they divide by running_std + e. 1.0.7 divides by sqrt(v) + e with these origins.

    Args:
        epsilon: e; default that of the release.
        mode: 0, 1 or 2.
        axis: which axis has gamma and beta; in mode 1 their number only.
        momentum: share of the old running value that is kept; default that of the release.
        weights: gamma, beta, running_mean, running_std.
        beta_init, gamma_init: initializations.
        gamma_regularizer, beta_regularizer: penalties.
        release: the release of Keras whose formula and defaults are meant, "1.0.0" to "1.2.2";
            None is 1.2.2, until weights are loaded from a file that tells another.
        contract: what to do when mode 1, documented for 2 axes, gets another input: "warn",
            "error" or "ignore".
        **common: see `Keras1Layer`.

    Raises:
        SpecError: an unknown mode, axis, release or contract.
        ShapeError: on the first input: it does not have the axis; or the contract is broken and
            `contract` is "error".

    Warns:
        ContractWarning: on the first input, if the contract is broken.

    Example:
        >>> layer = BatchNormalization(mode=1, release="1.0.4")
        >>> print(layer.spec)
        "... [c]", eps=0, eps_outside=1e-06, scale and bias along c

    Attributes:
        spec: the normalization as a `NormSpec`.
        release_told: whether the release was given, or a file told it.
        watcher: if set, mode 0 normalizes by the batch outside training too, tells this function
            the variance, and remembers nothing.
    """

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = (
        *("epsilon", "mode", "axis", "momentum", "gamma_regularizer", "beta_regularizer"),
        *("release", "contract"),
    )

    def __init__(
        self,
        epsilon: float | None = None,
        mode: int = 0,
        axis: int = -1,
        momentum: float | None = None,
        weights: Sequence[Any] | None = None,
        beta_init: initializers.Given = "zero",
        gamma_init: initializers.Given = "one",
        gamma_regularizer: regularizers.Given = None,
        beta_regularizer: regularizers.Given = None,
        *,
        release: str | None = None,
        contract: str = "warn",
        **common: Any,
    ) -> None:
        super().__init__(weights=weights, **common)
        self._given = {"epsilon": epsilon, "momentum": momentum}
        self.mode = mode
        self.axis = axis
        self.beta_init = initializers.resolve(beta_init)
        self.gamma_init = initializers.resolve(gamma_init)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.contract = one_of("contract", contract, CONTRACTS)
        self.be_of(LATEST if release is None else release, told=release is not None)
        self.watcher: Callable[[Tensor], object] | None = None
        self.gamma: Tensor = None
        self.beta: Tensor = None
        self.running_mean: Tensor = None
        self.running_std: Tensor = None

    def be_of(self, release: str, *, told: bool) -> None:
        """Compute as a release of Keras did, by the conventions of the layer's origin.

        Args:
            release: "1.0.0" to "1.2.2"; its defaults replace those of another release.
            told: whether the release is known, and not only assumed.

        Raises:
            SpecError: the release is not one of Keras 1, or had no such mode.
        """
        defaults = facts_of(release)
        epsilon, momentum = self._given["epsilon"], self._given["momentum"]
        self.epsilon: float = defaults.epsilon if epsilon is None else epsilon
        self.momentum: float = defaults.momentum if momentum is None else momentum
        self.release, self.release_told = release, told
        self.spec: NormSpec = batch_normalization(
            self.mode, self.axis, self.epsilon, self.momentum, release, self.origin
        )

    def create_weights(self, input_shape: Shape) -> None:
        """gamma, beta, running_mean, running_std; modes 1 and 2 have the running ones too."""
        if self.mode == 1 and len(input_shape) != 2:
            self._break_contract(input_shape)
        size = self._parameter_count(input_shape)
        self.gamma = self.weight(
            "gamma", (size,), self.gamma_init, regularizer=self.gamma_regularizer, autocast=False
        )
        self.beta = self.weight(
            "beta", (size,), self.beta_init, regularizer=self.beta_regularizer, autocast=False
        )
        self.running_mean = self.weight(
            "running_mean", (size,), "zero", trainable=False, autocast=False
        )
        self.running_std = self.weight(
            "running_std", (size,), "one", trainable=False, autocast=False
        )

    def compute_output_spec(self, x: Tensor, training: bool = False) -> Any:
        """As the input."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """The normalized input, of its shape and dtype."""
        layout = self.spec.layout(tuple(x.shape))
        learned = {"scale": self._along(layout, self.gamma), "bias": self._along(layout, self.beta)}
        running = self.spec.running
        if running is not None and not training and self.watcher is None:
            v = ops.square(self.running_std) if running.deviation else self.running_std
            spec = replace(self.spec, eps=self.spec.inference().eps)
            y = normalized(x, spec, layout, self.running_mean, v, **learned)
        else:
            y, measured = normalize(x, self.spec, layout, **learned)
            if self.watcher is not None and measured is not None:
                self.watcher(measured.v)
            elif running is not None and measured is not None:
                self._remember(running, measured.mean, measured.v)
        return ops.cast(y, x.dtype)

    def _remember(self, running: Running, mean: Tensor, variance: Tensor) -> None:
        """Each running value becomes momentum * itself + (1 - momentum) * the batch's value."""
        stored = stored_variance(running, variance, self.spec.eps, ops.sqrt)
        for memory, value in ((self.running_mean, mean), (self.running_std, stored)):
            now = ops.stop_gradient(ops.cast(ops.reshape(value, memory.shape), memory.dtype))
            memory.assign(updated(running.decay, memory, now))

    def _parameter_count(self, input_shape: Shape) -> int | None:
        """How many values gamma has.

        Raises:
            ShapeError: the input does not have the axis, or in mode 1 gamma does not fit the last.
            SpecError: the axis is not an integer.
        """
        rank = len(input_shape)
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise SpecError(f"axis is an integer, not {self.axis!r}")
        if not -rank <= self.axis < rank:
            raise ShapeError(
                f"{self.name}: axis is {self.axis}, the input has {counted(rank, 'axis')}",
                None,
                input_shape,
            )
        size, last = input_shape[self.axis], input_shape[-1]
        fits = size == last or (size == 1 and self.origin == "tensorflow")
        if self.mode == 1 and not fits:
            raise ShapeError(
                f"{self.name}: mode 1 normalizes the last axis, of {counted(last, 'value')}, "
                f"but axis={self.axis} gives {size} to gamma and beta",
                self.spec.pattern,
                input_shape,
                "leave out axis",
            )
        return size

    def _along(self, layout: Layout, parameter: Tensor) -> Tensor:
        """A parameter with one value per index; a single one is repeated (mode 1 alone)."""
        if self.mode != 1 or parameter.shape[0] != 1:
            return parameter
        last = layout.shape[-1]
        return parameter if last is None else ops.broadcast_to(parameter, (last,))

    def _break_contract(self, input_shape: Shape) -> None:
        """Warn, refuse, or be silent.

        Raises:
            ShapeError: `contract` is "error".
        """
        told, hint = broken_contract(self.name, input_shape)
        if self.contract == "error":
            raise ShapeError(told, "b [c]", input_shape, hint)
        if self.contract == "warn":
            choices = 'contract="ignore" keeps this silent, contract="error" refuses'
            warnings.warn(
                ContractWarning(f"{told}\n  {hint}\n  {choices}"),
                stacklevel=2,
            )


def broken_contract(name: str, input_shape: Shape) -> tuple[str, str]:
    """What mode 1 does with an input that is not (samples, features), and what to write instead.

    >>> for part in broken_contract("bn", (None, 20, 64)):
    ...     print(part)
    bn: BatchNormalization(mode=1) normalizes axis 2 alone, 64 values at a time
      that is: the features of each step
      Keras 1 documents: "sample-wise normalization. This mode assumes a 2D input."
    for each sample as a whole write
        keras.layers.GroupNormalization(groups=1, axis=-1)
      for each sample and channel on its own (instance norm) write
        keras.layers.GroupNormalization(groups=-1, axis=-1)
    """
    rank = len(input_shape)
    values = "all values" if input_shape[-1] is None else counted(input_shape[-1], "value")
    first_or_last = rank > 3  # a sequence always has its channels last
    told = [
        f"{name}: BatchNormalization(mode=1) normalizes axis {rank - 1} alone, {values} at a time",
        *([f"that is: {_MEANING[rank]}"] if rank in _MEANING else []),
        f'Keras 1 documents: "{KERAS1_MODE_1_WORDS}"',
    ]
    instead = [
        "for each sample as a whole write",
        f"  keras.layers.GroupNormalization(groups=1, axis={1 if first_or_last else -1})",
        "for each sample and channel on its own (instance norm) write",
        f"  keras.layers.GroupNormalization(groups=-1, axis={1 if first_or_last else -1})",
        *(["  (axis=-1 where the channels are last)"] if first_or_last else []),
    ]
    return "\n  ".join(told), "\n  ".join(instead)


_MEANING = {
    3: "the features of each step",
    4: "channels first: each row of pixels; channels last: the channels of each pixel",
    5: "channels first: each line of voxels; channels last: the channels of each voxel",
}
