"""Scalers of scikit-learn: the object, fitted or not, -> `Declaration`.

How far a spec says what they do is written in `normscope.frameworks.sklearn.presets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.layer_class import framework_class
from normscope.frameworks.sklearn import presets as presets
from normscope.notation.spec import NormSpec

_HOMES = ("sklearn.preprocessing.",)


def from_layer(layer: Any, rank: int | None = None) -> Declaration | None:
    """What a scaler declares; None if it is none of them.

    In training mode it takes its statistics from its input, as `fit_transform` does; inference is
    `transform`.

    Args:
        layer: any object.
        rank: the rank of the input, which is that of a table always.

    Raises:
        SpecError: what the scaler computes has no spec.
    """
    name = framework_class(layer, homes=_HOMES, names=_READERS, method="transform")
    if name is None:
        return None
    train = _READERS[name](layer)
    features = getattr(layer, "n_features_in_", None)
    if features is not None and name != "Normalizer":
        train = replace(train, sizes={"c": int(features)})
    settings = {key: value for key, value in vars(layer).items() if not key.endswith("_")}
    infer = fitted(train) if name == "MaxAbsScaler" else train.inference()
    return Declaration(f"sklearn.{name}", train, infer, settings=settings)


def fitted(train: NormSpec) -> NormSpec:
    """The spec of what is fitted before: no statistic comes from the input."""
    return replace(train, pattern=None, sizes={})


def _standard_scaler(layer: Any) -> NormSpec:
    return presets.standard_scaler(bool(layer.with_mean), bool(layer.with_std))


def _max_abs_scaler(layer: Any) -> NormSpec:
    if getattr(layer, "clip", False):
        raise SpecError(
            "MaxAbsScaler(clip=True) cuts off what lies outside [-1, 1], which no spec says"
        )
    scale = getattr(layer, "scale_", None)
    return presets.max_abs_scaler("float64" if scale is None else str(scale.dtype))


def _normalizer(layer: Any) -> NormSpec:
    return presets.normalizer(layer.norm)


_READERS: dict[str, Callable[[Any], NormSpec]] = {
    "StandardScaler": _standard_scaler,
    "MaxAbsScaler": _max_abs_scaler,
    "Normalizer": _normalizer,
}
