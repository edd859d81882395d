"""`Norm`: any normalization as a Flax NNX layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype, Initializer
from jax import lax

from normscope.errors import SpecError
from normscope.layers.common.parameters import layout_of_sizes
from normscope.layers.common.statement import stated
from normscope.layers.jax.normalize import Stats, check_sets, float_array, normalize
from normscope.layers.jax.statistics import AxisName
from normscope.notation.layout import Layout
from normscope.notation.running import Running, stored_variance, updated
from normscope.notation.spec import Measure, NormSpec


class Norm(nnx.Module):
    """A normalization with its learned parameters and its running statistics.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    with m and v the mean and the measure of each statistics set; see `NormSpec`. With `running` in
    the spec, m and v are those of the batch in training, which also moves the running ones,

        running = decay * running + (1 - decay) * batch

    and the running ones when `use_running_average` is set, as `layer.eval()` does. With the measure
    `none` there is a running mean alone.

    Args:
        pattern: a `NormSpec`, or a pattern with sizes and fields as keywords.
        use_running_average: normalize by the running statistics and leave them as they are. What is
            given with a call counts before this.
        axis_name: the name of a mapped axis (of `shard_map`, `vmap` or `pmap`), or several, over
            whose devices the statistics are joined. With `jit` alone and sharded arrays nothing
            need be said.
        dtype: of the result. None: what x, the parameters and the running statistics promote to, as
            in Flax, so that float16 with float32 parameters gives float32. Statistics are computed
            in float32 or wider in any case.
        param_dtype: of the parameters.
        scale_init, bias_init: initializers; by default the parameters are neutral.
        scale_metadata, bias_metadata: for the `nnx.Param`, such as its sharding.
        rngs: the random generators; each parameter takes one key of the stream `params`.
        **fields_and_sizes: fields of `NormSpec` and sizes of axes by name. The parameters are made
            at once, so each axis that they run along needs its size: `c=64`, and one size per axis
            for those under `...`: `s=(28, 28)`. A size is part of the contract with x. With a
            `NormSpec` only sizes may be given.

    Attributes:
        spec: the `NormSpec`, with all sizes.
        scale, bias: `nnx.Param` in the shape of the axes that the spec names, or None.
        mean, var: `nnx.BatchStat` in float32, in the shape of the axes outside brackets, or None.
            What `var` holds is what `Running` says: the variance, with eps, or a deviation.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, or a size is missing.
        ShapeError: when called, x does not meet the pattern.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from normscope import Running
        >>> layer = Norm("[b] c", c=2, scale="c", running=Running(0.9), rngs=nnx.Rngs(0))
        >>> layer(jnp.array([[0.0, 40000], [2, 40002]])).round(3)
        Array([[-1., -1.],
               [ 1.,  1.]], dtype=float32)
        >>> print(layer.mean[...])
        [1.0000e-01 4.0001e+03]
    """

    def __init__(
        self,
        pattern: NormSpec | str,
        *,
        use_running_average: bool = False,
        axis_name: AxisName | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        scale_init: Initializer | None = None,
        bias_init: Initializer = nnx.initializers.zeros,
        scale_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        rngs: nnx.Rngs,
        **fields_and_sizes: Any,
    ) -> None:
        self.spec = stated(pattern, fields_and_sizes)
        _check_memory(self.spec, use_running_average)
        self.use_running_average = use_running_average
        self.axis_name = axis_name
        self.dtype = dtype
        self.param_dtype = param_dtype
        if scale_init is None:
            scale_init = nnx.initializers.constant(1 - self.spec.scale_shift)

        layout = layout_of_sizes(self.spec)
        self.scale: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        self.mean: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self.var: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        if self.spec.scale is not None:
            shape = _known_shape(self.spec, layout, "scale", layout.named(self.spec.scale))
            self.scale = nnx.Param(scale_init(rngs.params(), shape, param_dtype), **scale_metadata)
        if self.spec.bias is not None:
            shape = _known_shape(self.spec, layout, "bias", layout.named(self.spec.bias))
            self.bias = nnx.Param(bias_init(rngs.params(), shape, param_dtype), **bias_metadata)
        if self.spec.running is not None:
            shape = _known_shape(self.spec, layout, "the running mean", layout.kept)
            self.mean = nnx.BatchStat(jnp.zeros(shape, jnp.float32))
        if self.spec.running is not None and self.spec.measure is not Measure.NONE:
            self.var = nnx.BatchStat(jnp.ones(shape, jnp.float32))

    def __call__(
        self,
        x: jax.Array,
        use_running_average: bool | None = None,
        *,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Normalize x.

        Args:
            x: array of floats or integers, of a shape that meets the pattern.
            use_running_average: for this call, instead of the layer's own setting.
            mask: booleans that broadcast to x. Only elements where it is True enter the statistics;
                a set without any is set to the bias and leaves its running statistics alone.

        Returns:
            An array of x's shape.
        """
        _check_memory(self.spec, bool(use_running_average))
        if use_running_average is None:
            use_running_average = self.use_running_average
        scale = None if self.scale is None else self.scale[...]
        bias = None if self.bias is None else self.bias[...]
        mean = None if self.mean is None else self.mean[...]
        var = None if self.var is None else self.var[...]
        arrays = [values for values in (scale, bias, mean, var) if values is not None]
        x = float_array("x", x)
        x = x.astype(self.dtype or jnp.result_type(x, *arrays))

        if use_running_average:
            if var is not None and self.spec.running is not None and self.spec.running.deviation:
                var = var**2
            stated = replace(self.spec, eps=self.spec.inference().eps)
            return normalize(x, stated, scale=scale, bias=bias, mean=mean, var=var, mask=mask)
        y, stats = normalize(
            x,
            self.spec,
            scale=scale,
            bias=bias,
            mask=mask,
            axis_name=self.axis_name,
            return_stats=True,
        )
        if self.spec.running is not None:
            self._remember(self.spec.running, x, stats, mask)
        return y

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Set what `nnx.view` sets.

        Args:
            use_running_average: as for the layer.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def _remember(
        self, running: Running, x: jax.Array, stats: Stats, mask: jax.Array | None
    ) -> None:
        """Move the running statistics towards those of the batch."""
        ddof = 0 if self.spec.measure is Measure.NONE else running.ddof
        stored = NormSpec(self.spec.pattern, self.spec.sizes, ddof=ddof)
        check_sets(stored, stored.layout(x.shape), self.axis_name)
        measured = self.spec
        if self.var is not None and (
            not measured.center or measured.measure is not Measure.VARIANCE
        ):
            # what is remembered is mean and variance, whatever the spec divides by
            measured = stored
            _, stats = normalize(x, stored, mask=mask, axis_name=self.axis_name, return_stats=True)
        var = stored_variance(
            running, stats.var, self.spec.eps, jnp.sqrt, count=stats.set_size, ddof=measured.ddof
        )
        enough = stats.set_size > max(self.spec.ddof, ddof)
        for memory, batch in ((self.mean, stats.mean), (self.var, var)):
            if memory is None:
                continue
            old = memory[...]
            new = updated(running.decay, old, batch)
            memory[...] = lax.stop_gradient(jnp.where(enough, new, old).astype(old.dtype))


def _check_memory(stated: NormSpec, use_running_average: bool) -> None:
    if use_running_average and stated.running is None:
        raise SpecError(
            "use_running_average=True, but the spec has no running statistics: give it "
            "running=Running(decay=0.99)"
        )


def _known_shape(
    stated: NormSpec, layout: Layout, what: str, axes: tuple[int, ...]
) -> tuple[int, ...]:
    """The lengths of `axes`.

    Raises:
        SpecError: one of them was not given.
    """
    for axis in (layout.axes[i] for i in axes):
        repeated = axis.base in stated.parsed.repeated
        if repeated and not isinstance(stated.sizes.get(axis.base), tuple):
            raise SpecError(
                f'{what} varies along "{axis.base}...", whose sizes the layer must know: give one '
                f"per axis, for example {axis.base}=(28, 28)"
            )
        if axis.size is None:
            raise SpecError(
                f'{what} varies along "{axis.base}", whose size the layer must know: give it, for '
                f"example {axis.base}=64"
            )
    return layout.place(axes).shape
