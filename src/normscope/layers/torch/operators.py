"""Where one of torch's own operators computes a spec: which one, and how it is called.

The operators run one loop where the formula runs a dozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec


class Normalized(NamedTuple):
    """y, and mean and variance of each set if the spec is `running`."""

    y: Tensor
    mean: Tensor | None = None
    variance: Tensor | None = None


Run = Callable[[Tensor, Tensor | None, Tensor | None], Normalized]
"""A function of the split input, flat scale and flat bias."""


class Operator(NamedTuple):
    """An operator of torch, and how it reads its input.

    Attributes:
        name: what torch calls it.
        run: calls it.
        rows: whether it reads each statistics set as one row, and copies other inputs to that end.
    """

    name: str
    run: Run
    rows: bool = False


def normalize(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    negative_slope: float | None,
) -> Normalized | None:
    """Let one of torch's operators normalize `x` as it is; None where none computes `spec`.

    Args:
        x: the input.
        spec, layout: the normalization, fitted to the input.
        scale, bias: the parameters, along the axes in their order.
        residual, negative_slope: what is added first, and the slope of an activation behind.
    """
    if any(p is not None and p.dtype != x.dtype for p in (scale, bias)):
        return None
    if None in layout.shape:
        return None  # which operator it is depends on lengths
    if spec.running and x.dtype not in (torch.float32, torch.float64):
        return None  # its statistics would be rounded
    operator = operator_for(spec, layout.shape)
    if operator is None:
        return None
    whole = x if residual is None else x + residual
    split = whole.reshape(layout.known_sizes)
    y, mean, variance = operator.run(split, *_flat(split, spec, scale, bias))
    y = y.reshape(x.shape)
    if negative_slope is not None:
        y = functional.leaky_relu(y, negative_slope)
    if mean is None or variance is None:
        return Normalized(y)
    sizes = layout.known_sizes
    shape = [1 if axis.shared else sizes[i] for i, axis in enumerate(layout.axes)]
    return Normalized(y, mean.reshape(shape), variance.reshape(shape))


def normalize_near_zero(
    x: Tensor, spec: NormSpec, layout: Layout, scale: Tensor | None, bias: Tensor | None
) -> Normalized | None:
    """Let one of torch's operators normalize the split input, less a value near the mean.

    On their own they lose digits where the mean is large.

    Args:
        x: the input, with its groups of axes taken apart.
        spec, layout, scale, bias: as for `normalize`.

    Returns:
        The result, or None where no operator computes `spec`.
    """
    operator = operator_for(spec, layout.shape)
    if operator is None:
        return None
    scale, bias = _flat(x, spec, scale, bias)
    if operator.rows:
        x = x.contiguous()  # or the operator would do it twice: here and in the backward pass
    if not spec.center:
        return operator.run(x, scale, bias)
    near = _near_mean(x.detach(), layout.shared)
    y, mean, variance = operator.run(x - near, scale, bias)
    if mean is None or variance is None:
        return Normalized(y)
    return Normalized(y, mean.reshape(near.shape) + near, variance.reshape(near.shape))


def _flat(
    x: Tensor, spec: NormSpec, scale: Tensor | None, bias: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Scale and bias as the operators take them."""
    if scale is not None:
        scale = scale.to(x.dtype).flatten().contiguous()  # or torch 2.13 reads what is not its own
        scale = scale + spec.scale_shift if spec.scale_shift else scale
    if bias is not None:
        bias = bias.to(x.dtype).flatten()
    return scale, bias


def _near_mean(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Some value close to those of each set, and exactly theirs where all are equal.

    The mean of one slice of the set: no further from the mean of all than sqrt(number of slices)
    standard deviations.
    """
    some = x.narrow(axes[0], 0, 1)
    if len(axes) == 1:
        return some
    one = some
    for axis in axes[1:]:
        one = one.narrow(axis, 0, 1)
    return one + (some - one).mean(axes, keepdim=True)


@lru_cache(maxsize=1024)
def operator_for(spec: NormSpec, shape: tuple[int, ...]) -> Operator | None:
    """The operator of torch that computes `spec` for inputs of this shape, if there is one.

    >>> operator_for(NormSpec("b [c]", measure="l1"), (2, 3)) is None
    True
    """
    layout = spec.layout(shape)
    named = {layout.named(names) for names in (spec.scale, spec.bias) if names is not None}
    if () in named:  # a parameter that is one number
        return None
    along = named.pop() if named else ()
    sets = (layout.num_sets or 0, layout.set_size or 0)
    if named or list(along) != sorted(along) or spec.ddof or spec.eps_outside or spec.floor:
        return None
    if spec.unit_below is not None:
        return None
    if 0 in sets or sets[1] == 1:  # torch refuses sets of one value, whose result is the bias
        return None
    form, sizes = _form(layout, along)
    if spec.measure is Measure.MEAN_SQUARE and not spec.center and spec.bias is None:
        return _rms_norm(spec.eps, sets) if form in ("S", "kS", "s", "ks") else None
    if spec.measure is not Measure.VARIANCE or not spec.center:
        return None
    if spec.running:
        return _batch_norm(spec.eps, _BATCH[form](*sizes), sets[1]) if form in _BATCH else None
    if form in ("S", "kS", "s", "ks"):
        return _layer_norm(spec.eps, sets)
    if form in _BATCH:
        return _batch_norm(spec.eps, _BATCH[form](*sizes), sets[1])
    if form in _GROUPED:
        return _group_norm(spec.eps, *_GROUPED[form](*sizes))
    if form not in _INSTANCE:
        return None
    view = _INSTANCE[form](*sizes)
    if view.before >= _LARGE:
        return _group_norm(spec.eps, view, view.channels)
    return _instance_norm(spec.eps, view)


def _form(layout: Layout, along: tuple[int, ...]) -> tuple[str, list[int]]:
    """Neighbouring axes of one role as one letter and one length.

    s: shared, k: kept, by a statistics set; S and K: and the parameters vary along it.

    >>> layout = NormSpec("b [s...] (g [c])", sizes={"g": 4}).layout((8, 28, 28, 16))
    >>> _form(layout, layout.named("g c"))
    ('ksKS', [8, 784, 4, 4])
    """

    def role(i: int) -> str:
        letter = "s" if layout.axes[i].shared else "k"
        return letter.upper() if i in along else letter

    sizes = layout.known_sizes
    seen = [i for i, size in enumerate(sizes) if size != 1 or i in along]
    blocks = [(letter, [sizes[i] for i in axes]) for letter, axes in groupby(seen, role)]
    return "".join(letter for letter, _ in blocks), [math.prod(lengths) for _, lengths in blocks]


class _View(NamedTuple):
    """An input as torch's operators see it: channels with axes before or after them.

    Of `before` and `after` one is 1: in memory the channels are last, or second.
    """

    samples: int
    before: int
    channels: int
    after: int

    def of(self, x: Tensor) -> Tensor:
        """`x` with its channels second."""
        if self.before == 1:
            return x.reshape(self.samples, self.channels, self.after)
        return x.reshape(self.samples, self.before, 1, self.channels).permute(0, 3, 1, 2)

    def back(self, y: Tensor, shape: torch.Size) -> Tensor:
        """The opposite of `of`."""
        return (y if self.before == 1 else y.permute(0, 2, 3, 1)).reshape(shape)


_BATCH: dict[str, Callable[..., _View]] = {
    "sK": lambda s, c: _View(1, s, c, 1),
    "Ks": lambda c, s: _View(1, 1, c, s),
    "sKs": lambda s, c, t: _View(s, 1, c, t),
}
_BATCH |= {form.lower(): view for form, view in _BATCH.items() if form != "Ks"}

_INSTANCE: dict[str, Callable[..., _View]] = {
    "ksK": lambda k, s, c: _View(k, s, c, 1),
    "kKs": lambda k, c, s: _View(k, 1, c, s),
    "ksk": lambda k, s, c: _View(k, s, c, 1),
}

# From this many values on torch's group_norm reads channels that are last where they lie; below,
# and in instance_norm always, torch copies them to be second.
_LARGE = 1024

# the view, and the number of groups
_GROUPED: dict[str, Callable[..., tuple[_View, int]]] = {
    "ksKS": lambda k, s, g, c: (_View(k, s, g * c, 1), g),
    "ksS": lambda k, s, c: (_View(k, s, c, 1), 1),
    "kKS": lambda k, g, c: (_View(k, 1, g * c, 1), g),
    "kKSs": lambda k, g, c, s: (_View(k, 1, g * c, s), g),
    "kSs": lambda k, c, s: (_View(k, 1, c, s), 1),
}


def _rows(x: Tensor, sets: tuple[int, int]) -> Tensor:
    """`x` with one statistics set in each row of its last axis."""
    return x if x.shape[-1] == sets[1] else x.reshape(sets)


def _layer_norm(eps: float, sets: tuple[int, int]) -> Operator:
    def run(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Normalized:
        y = functional.layer_norm(_rows(x, sets), sets[1:], scale, bias, eps)
        return Normalized(y.view_as(x))

    return Operator("layer_norm", run, rows=True)


def _rms_norm(eps: float, sets: tuple[int, int]) -> Operator:
    def run(x: Tensor, scale: Tensor | None, _: Tensor | None) -> Normalized:
        y = functional.rms_norm(_rows(x, sets), sets[1:], scale, eps)
        return Normalized(y.view_as(x))

    return Operator("rms_norm", run, rows=True)


def _batch_norm(eps: float, view: _View, set_size: int) -> Operator:
    def run(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Normalized:
        # with momentum 1 the running statistics become those of this batch
        mean, variance = x.new_zeros(view.channels), x.new_zeros(view.channels)
        y = functional.batch_norm(view.of(x), mean, variance, scale, bias, True, 1.0, eps)
        return Normalized(view.back(y, x.shape), mean, variance * ((set_size - 1) / set_size))

    return Operator("batch_norm", run)


def _group_norm(eps: float, view: _View, groups: int) -> Operator:
    def run(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Normalized:
        inside = x.requires_grad and scale is not None
        if inside or (scale is None and bias is None):
            y = functional.group_norm(view.of(x), groups, scale, bias, eps)
            return Normalized(view.back(y, x.shape))
        # Scale and bias stay outside: torch 2.13 crashes in the backward pass of its group_norm if
        # the input needs no gradient while they do, or if there is a bias alone.
        y = functional.group_norm(view.of(x), groups, None, None, eps)
        along = (-1,) + (1,) * (y.dim() - 2)
        if scale is not None and bias is not None:
            y = torch.addcmul(bias.reshape(along), y, scale.reshape(along))
        elif scale is not None:
            y = y * scale.reshape(along)
        elif bias is not None:
            y = y + bias.reshape(along)
        return Normalized(view.back(y, x.shape))

    return Operator("group_norm", run)


def _instance_norm(eps: float, view: _View) -> Operator:
    def run(x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Normalized:
        y = functional.instance_norm(view.of(x), None, None, scale, bias, True, 0.0, eps)
        return Normalized(view.back(y, x.shape))

    return Operator("instance_norm", run)
