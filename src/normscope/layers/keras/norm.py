"""`Norm`: any `NormSpec` as a Keras 3 layer, on TensorFlow, JAX and torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import keras
from keras import constraints, initializers, ops, regularizers

from normscope.errors import NormscopeError, ShapeError, SpecError
from normscope.layers.common.operations import Tensor
from normscope.layers.common.parameters import check_set_size, joined_shape, memory_ddof
from normscope.layers.keras.formula import AllSum, Moments, normalize, normalized
from normscope.layers.keras.statement import stated
from normscope.layers.keras.synchronization import all_sum_over_replicas
from normscope.notation.layout import Layout
from normscope.notation.running import Running, stored_variance, updated
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec

P = ParamSpec("P")
T = TypeVar("T")

_KERAS_ARGUMENTS = ("name", "dtype", "trainable", "autocast", "activity_regularizer")


def _raising_as_it_is(method: Callable[P, T]) -> Callable[P, T]:
    """Keep Keras from turning our exceptions into a RuntimeError: it knows no such signature."""

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except NormscopeError as error:
            error._keras_call_info_injected = True  # type: ignore[attr-defined]  # Keras's own mark
            raise

    return wrapped


# keras has no types
@keras.saving.register_keras_serializable(package="normscope")  # type: ignore[misc, unused-ignore]
class Norm(keras.layers.Layer):  # type: ignore[misc]
    """Normalizes as a `NormSpec` says.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * gamma + beta

    with m and v the mean and the measure of each statistics set. In training a spec with `running`
    takes them from the batch and moves the moving statistics; in inference, and while `trainable`
    is False, it uses the moving statistics. Any other spec always takes them from its input.

    Whatever the dtype policy, statistics are computed in float32 or wider, and the variance around
    the mean; in float32 the squares of numbers below 1e-19 may vanish, so that `unit_below` acts.
    A mask (over the leading axes of the input) keeps values out of the statistics wherever one of
    its axes lies in a statistics set.

    Weights: `gamma` and `beta` where the spec has `scale` and `bias`, in the shape of the axes that
    it names; `moving_mean` and `moving_variance` with `running`, in the shape of the axes outside
    brackets. `moving_variance` holds what `Running` says: the variance, with eps in it, or a
    deviation; with the measure `none` there is none. An axis of the input that parentheses take
    apart counts as one: the gamma of `"b (g [c])"` along `"g c"` is a flat vector, as in Keras's
    own layers.

    Args:
        normalization: a `NormSpec`, a pattern such as `"b [s...] (g [c])"`, or the name of a
            preset, such as `"batch"`.
        data_format: `"channels_last"` or `"channels_first"`, for presets that have both forms;
            None is Keras's own setting.
        synchronized: whether the replicas of a distributed training share their statistics sets.
        gamma_initializer, beta_initializer, moving_mean_initializer, moving_variance_initializer,
            gamma_regularizer, beta_regularizer, gamma_constraint, beta_constraint: as in Keras's
            own layers. `gamma_initializer=None` is the neutral one: ones, or zeros where the spec
            multiplies by 1 + gamma.
        **arguments: `name`, `dtype`, `trainable`, `autocast` and `activity_regularizer` are those
            of any Keras layer. The rest completes the normalization: with a pattern, fields of
            `NormSpec` and sizes of axes (`g=32`); with a preset, its own arguments, and fields
            that replace those of the preset.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: an input does not meet the pattern, or the weights.

    Example:
        >>> import numpy as np
        >>> layer = Norm("b [s...] (g [c])", g=2, scale="g c", bias="g c")
        >>> tuple(layer(np.zeros((8, 5, 5, 6), "float32")).shape), tuple(layer.gamma.shape)
        ((8, 5, 5, 6), (6,))
        >>> Norm("batch", data_format="channels_first", decay=0.99).spec.pattern
        '[b] c [s...]'
    """

    def __init__(
        self,
        normalization: NormSpec | str,
        *,
        data_format: str | None = None,
        synchronized: bool = False,
        gamma_initializer: Any = None,
        beta_initializer: Any = "zeros",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        gamma_regularizer: Any = None,
        beta_regularizer: Any = None,
        gamma_constraint: Any = None,
        beta_constraint: Any = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**{k: arguments.pop(k) for k in _KERAS_ARGUMENTS if k in arguments})
        self.spec = _checked(stated(normalization, data_format, arguments), synchronized)
        self.synchronized = synchronized
        if gamma_initializer is None:
            gamma_initializer = "zeros" if self.spec.scale_shift else "ones"
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_initializer = initializers.get(beta_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.beta_constraint = constraints.get(beta_constraint)
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_mean: Any = None
        self.moving_variance: Any = None

    def build(self, input_shape: Sequence[Size]) -> None:
        """Make the weights; the lengths of their axes must be known."""
        for name, shape in _fit(self.spec, tuple(input_shape)).weights.items():
            learned = name in ("gamma", "beta")
            weight = self.add_weight(
                shape=shape,
                name=name,
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer") if learned else None,
                constraint=getattr(self, f"{name}_constraint") if learned else None,
                trainable=learned,
                autocast=False,
                aggregation="none" if learned else "mean",
            )
            setattr(self, name, weight)

    @_raising_as_it_is
    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """Normalize; `mask` has the leading axes of `inputs` and is True where a value counts."""
        fit = self._fit(inputs.shape)
        learned = {"scale": self.gamma, "bias": self.beta}
        if self.spec.running and not (training and self.trainable):
            v = self.moving_variance
            if self.spec.running.deviation and v is not None:
                v = ops.square(v)
            spec = replace(self.spec, eps=self.spec.inference().eps)
            y = normalized(inputs, spec, fit.layout, self.moving_mean, v, **learned)
        else:
            all_sum = fit.all_sum() if self.synchronized else None
            if all_sum is None:
                check_set_size(self.spec, fit.layout)
            y, measured = normalize(
                inputs, self.spec, fit.layout, mask=mask, all_sum=all_sum, **learned
            )
            if self.spec.running and measured:
                self._move(self.spec.running, measured)
        return ops.cast(y, self.compute_dtype)

    def _move(self, running: Running, measured: Moments) -> None:
        """The moving statistics after this batch; a set without a value leaves its own alone."""
        mean, v, count = measured
        known = None  # whether there is a batch value; None: always
        if not isinstance(count, int):
            known = count > memory_ddof(self.spec)
            if len(known.shape):  # one for each set
                known = ops.reshape(known, self._moving.shape)
        if self.moving_variance is not None:
            v = stored_variance(
                running, v, self.spec.eps, ops.sqrt, count=count, ddof=self.spec.ddof
            )
        for weight, batch in ((self.moving_mean, mean), (self.moving_variance, v)):
            if weight is None:
                continue
            batch = ops.reshape(ops.stop_gradient(batch), weight.shape)
            old = ops.cast(weight, batch.dtype)
            new = updated(running.decay, old, batch)
            weight.assign(new if known is None else ops.where(known, new, old))

    @property
    def _moving(self) -> Any:
        """One of the moving statistics: all have one shape."""
        return self.moving_mean if self.moving_variance is None else self.moving_variance

    def _fit(self, shape: Sequence[Size]) -> _Fit:
        fit = _fit(self.spec, tuple(shape))
        for name, wanted in fit.weights.items():
            found = tuple(getattr(self, name).shape)
            if found != wanted:
                raise ShapeError(
                    f"{name} was built with the shape {found}, this input needs {wanted}",
                    self.spec.pattern,
                    fit.layout.shape,
                )
        return fit

    @_raising_as_it_is
    def compute_output_shape(self, input_shape: Sequence[Size]) -> tuple[Size, ...]:
        """The shape of the input, which must meet the pattern."""
        return self.spec.layout(tuple(input_shape)).shape

    def get_config(self) -> dict[str, Any]:
        """All arguments; the normalization as `NormSpec.to_dict` writes it."""
        return {
            **super().get_config(),
            "normalization": self.spec.to_dict(),
            "synchronized": self.synchronized,
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
            "beta_constraint": constraints.serialize(self.beta_constraint),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Norm:
        """The layer that `get_config` described."""
        return cls(**{**config, "normalization": NormSpec.from_dict(config["normalization"])})


@dataclass(frozen=True)
class _Fit:
    """A spec fitted to the shape of an input: its layout, and the shapes of the weights."""

    spec: NormSpec
    layout: Layout
    weights: dict[str, tuple[int, ...]]

    def all_sum(self) -> AllSum | None:
        """The sum over the replicas, if these hold parts of the same statistics sets.

        Each replica has a part of the first axis; sets within one sample are never divided.
        """
        first = {axis.shared for axis in self.layout.parts(0)}
        if len(first) > 1:
            raise SpecError(
                f'synchronized=True with "{self.spec.pattern}": the first axis, which replicas '
                "divide among themselves, is partly inside and partly outside brackets"
            )
        return all_sum_over_replicas() if True in first else None


@lru_cache(maxsize=1024)
def _fit(spec: NormSpec, shape: tuple[Size, ...]) -> _Fit:
    layout = spec.layout(shape)
    axes = {
        "gamma": None if spec.scale is None else layout.named(spec.scale),
        "beta": None if spec.bias is None else layout.named(spec.bias),
        "moving_mean": layout.kept if spec.running and spec.center else None,
        "moving_variance": layout.kept
        if spec.running and spec.measure is not Measure.NONE
        else None,
    }
    weights = {
        name: _weight_shape(layout, along) for name, along in axes.items() if along is not None
    }
    return _Fit(spec, layout, weights)


def _weight_shape(layout: Layout, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a weight along some axes, whose lengths must be known."""
    layout.place(axes)  # which says what is missing
    return tuple(length for length in joined_shape(layout, axes) if length is not None)


def _checked(spec: NormSpec, synchronized: object) -> NormSpec:
    """The spec, if this layer can run it."""
    if not isinstance(synchronized, bool):
        raise SpecError(f"synchronized is True or False, not {synchronized!r}")
    if spec.pattern is None:
        raise SpecError(
            "this spec has no pattern: it takes no statistic from its input; give the spec of the "
            "training mode, which knows by its running statistics what inference does"
        )
    if synchronized and spec.measure is Measure.MAX:
        raise SpecError("synchronized=True: a maximum over replicas has no gradient")
    if spec.running and spec.measure not in (Measure.VARIANCE, Measure.NONE):
        raise SpecError(
            f"moving statistics are a mean and a variance; with the measure {spec.measure} there "
            "is none that inference could use: leave running out"
        )
    return spec
