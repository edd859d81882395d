"""Normalization layers of PyTorch: the object -> `Declaration`.

So is `normscope.layers.torch.Norm`, which holds its spec.

Where a layer's settings and its state differ, its state decides, as in `forward`: a parameter that
is None is not applied, running statistics that are not there are not used.

`InstanceNorm` keeps one running mean and variance per channel: the batch value that enters is the
average over the samples. The specs of the two modes say the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.layer_class import framework_class
from normscope.frameworks.torch import presets as presets
from normscope.frameworks.torch.wrapped import unwrapped
from normscope.notation.spec import NormSpec, Running

_HOMES = ("torch.nn.modules.",)
_OWN = ("normscope.layers.torch.",)
"""Where `Norm` is, which is known by its name: to import it would be to need it."""


def from_layer(layer: Any, rank: int | None = None) -> Declaration | None:
    """What a layer declares; None if it is none of torch's normalizations, and no `Norm`.

    Args:
        layer: any object.
        rank: the rank of the input, if it is known: an instance normalization takes one sample
            without its batch axis too.

    Raises:
        SpecError: the layer has no spec.
    """
    layer = unwrapped(layer).module
    if is_norm(layer):
        return _norm(layer)
    name = framework_class(layer, homes=_HOMES, names=_READERS, method="forward")
    if name is None:
        return None
    declaration = _READERS[name](layer, f"torch.nn.{name}")
    return (
        _of_one_sample(declaration)
        if rank == _UNBATCHED.get(name.removeprefix("Lazy"), 0)
        else declaration
    )


def is_norm(layer: Any) -> bool:
    """Whether a layer is the `Norm` of normscope for torch, known without importing it.

    >>> is_norm(3)
    False

    Raises:
        SpecError: it is one of a subclass that computes by its own `forward`.
    """
    return framework_class(layer, homes=_OWN, names=("Norm",), method="forward") is not None


def _norm(layer: Any) -> Declaration:
    """`Norm` of normscope for torch, which holds its spec."""
    infer = layer.spec.inference()
    train = infer if layer.frozen else layer.spec
    settings = _settings(layer, "frozen", "synchronized")
    return Declaration("normscope.layers.torch.Norm", train, infer, settings=settings)


def _batch_norm(stated: Callable[..., NormSpec]) -> Callable[[Any, str], Declaration]:
    def read(layer: Any, title: str) -> Declaration:
        train = _with_parameters(layer, stated(layer.num_features or None, layer.eps))
        if layer.running_mean is None:
            running = None
        elif layer.track_running_stats:
            running = _exponential(layer, title)
        else:
            running = _FROZEN
        train = replace(train, running=running)
        return Declaration(title, train, train.inference(), settings=_normalization(layer))

    return read


def _instance_norm(layer: Any, title: str) -> Declaration:
    stated = presets.instance_norm(layer.num_features or None, layer.eps, affine=True)
    train = _with_parameters(layer, stated)
    if layer.track_running_stats and layer.running_mean is not None:
        # here momentum=None is momentum 0, not the cumulative average of BatchNorm
        running = _FROZEN if layer.momentum is None else _exponential(layer, title)
        train = replace(train, running=running)
    return Declaration(title, train, train.inference(), settings=_normalization(layer))


_UNBATCHED = {"InstanceNorm1d": 2, "InstanceNorm2d": 3, "InstanceNorm3d": 4}
"""The rank of a single sample."""


def _of_one_sample(declaration: Declaration) -> Declaration:
    """The same layer, given an input without a batch axis."""
    train = declaration.train
    # without parameters and memory, torch does not insist on num_features
    free = train.scale is None and train.running is None
    train = replace(train, pattern="c [s...]", sizes={} if free else train.sizes)
    return replace(declaration, train=train, infer=train.inference())


def _layer_norm(layer: Any, title: str) -> Declaration:
    stated = presets.layer_norm(_shape(layer), eps=layer.eps)
    return _pure(layer, title, stated, "normalized_shape", "eps", "elementwise_affine")


def _rms_norm(layer: Any, title: str) -> Declaration:
    stated = presets.rms_norm(_shape(layer), eps=layer.eps)
    if layer.eps is None and str(getattr(layer.weight, "dtype", None)) == "torch.float64":
        stated = replace(stated, eps=2.0**-52)
    return _pure(layer, title, stated, "normalized_shape", "eps", "elementwise_affine")


def _group_norm(layer: Any, title: str) -> Declaration:
    stated = presets.group_norm(layer.num_groups, layer.num_channels, eps=layer.eps)
    return _pure(layer, title, stated, "num_groups", "num_channels", "eps", "affine")


def _window(layer: Any, title: str) -> Declaration:
    raise SpecError(
        f"{title} divides each value by a window of {layer.size} neighbouring channels; windows "
        "overlap, so the values form no statistics sets and there is no spec for it"
    )


def _pure(layer: Any, title: str, stated: NormSpec, *settings: str) -> Declaration:
    """A layer that computes the same in both modes."""
    stated = _with_parameters(layer, stated)
    return Declaration(title, stated, stated, settings=_settings(layer, *settings))


def _with_parameters(layer: Any, stated: NormSpec) -> NormSpec:
    """The spec, affine as it came, with just those parameters that the layer holds."""
    return replace(
        stated,
        scale=None if layer.weight is None else stated.scale,
        bias=None if getattr(layer, "bias", None) is None else stated.bias,
    )


def _exponential(layer: Any, title: str) -> Running:
    if layer.momentum is None:
        raise SpecError(
            f"{title} with momentum=None averages over all batches so far: the share of the old "
            "value changes at every step, so it has no decay; give it a momentum, or state the spec"
        )
    return Running(1 - layer.momentum, ddof=1)


_FROZEN = Running(decay=1.0, ddof=1)
"""Running statistics that inference uses and that no batch enters any more."""


def _shape(layer: Any) -> int | tuple[int, ...]:
    """`normalized_shape` as the presets take it."""
    shape = tuple(layer.normalized_shape)
    return shape[0] if len(shape) == 1 else shape


def _normalization(layer: Any) -> dict[str, Any]:
    return _settings(
        layer, "num_features", "eps", "momentum", "affine", "track_running_stats", "process_group"
    )


def _settings(layer: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in names if hasattr(layer, name)}


_READERS: dict[str, Callable[[Any, str], Declaration]] = {
    "BatchNorm1d": _batch_norm(presets.batch_norm_1d),
    "BatchNorm2d": _batch_norm(presets.batch_norm_2d),
    "BatchNorm3d": _batch_norm(presets.batch_norm_3d),
    "LazyBatchNorm1d": _batch_norm(presets.batch_norm_1d),
    "LazyBatchNorm2d": _batch_norm(presets.batch_norm_2d),
    "LazyBatchNorm3d": _batch_norm(presets.batch_norm_3d),
    "SyncBatchNorm": _batch_norm(presets.batch_norm_1d),  # any number of axes, as the pattern of 1d
    "InstanceNorm1d": _instance_norm,
    "InstanceNorm2d": _instance_norm,
    "InstanceNorm3d": _instance_norm,
    "LazyInstanceNorm1d": _instance_norm,
    "LazyInstanceNorm2d": _instance_norm,
    "LazyInstanceNorm3d": _instance_norm,
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "RMSNorm": _rms_norm,
    "LocalResponseNorm": _window,
    "CrossMapLRN2d": _window,
}
