"""Statements of a caller (a spec, a pattern with its fields, a layer by name) -> `NormSpec`."""

from __future__ import annotations

from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.layer_class import check_not_class
from normscope.frameworks.text import named_layer, names_layer
from normscope.notation.pattern import Repeat, leaves, parse
from normscope.notation.spec import NormSpec, spec
from normscope.notation.values import shown


def stated(
    normalization: NormSpec | str, fields_and_sizes: dict[str, Any], scaled: bool, biased: bool
) -> NormSpec:
    """The spec, made from a text if need be.

    Args:
        normalization: a `NormSpec`, a pattern, or a layer by name.
        fields_and_sizes: with a pattern only, as for `spec`.
        scaled, biased: with a bare pattern, whether it has a scale and a bias, along the axis `c`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.

    Example:
        >>> print(stated("b (g [c])", {"g": 4}, scaled=True, biased=False))
        "b (g [c])" with g=4, eps=1e-05, scale along g c
        >>> print(stated("keras.LayerNormalization()", {}, scaled=True, biased=True))
        "... [c]", eps=0.001, scale and bias along c
    """
    if isinstance(normalization, NormSpec):
        if fields_and_sizes:
            raise SpecError(
                f"{', '.join(fields_and_sizes)}: a NormSpec says everything already; change it "
                "with dataclasses.replace(spec, ...)"
            )
        return normalization
    if not isinstance(normalization, str):
        raise _not_stated(normalization)
    text = str.__str__(normalization)  # of a subclass, the text alone
    if names_layer(text):
        return named_layer(text, fields_and_sizes).train
    names = {"scale": scaled, "bias": biased}
    along = channel_axes(text) if scaled or biased else ""
    return spec(text, **fields_and_sizes, **{name: along for name, used in names.items() if used})


def _not_stated(came: object) -> SpecError:
    check_not_class(came)
    if hasattr(came, "shape") and hasattr(came, "dtype"):
        return SpecError(
            f"the normalization is a pattern, a layer by name, or a NormSpec, and {shown(came)} "
            "came; have two arguments changed places? It is normalize(x, pattern), and "
            "fit(pattern, x)"
        )
    if callable(came):
        kind = type(came).__qualname__
        return SpecError(
            f"the normalization is a pattern, a layer by name, or a NormSpec, and this {kind} is a "
            "layer itself: spec_of(layer) reads its spec, identify(layer, shape) finds it out; its "
            "weights go to scale= and bias="
        )
    return SpecError(
        'the normalization is a pattern such as "b [c]", a layer by name such as '
        f'"torch.LayerNorm(128)", or a NormSpec, not {shown(came)}'
    )


def channel_axes(pattern: str) -> str:
    """The axis called `c`, with all parts of the group that it stands in.

    Raises:
        SpecError: there is none.
    """
    for item in parse(pattern).items:
        names = [axis.name for axis in leaves((item,)) if axis.size is None]
        if "c" in names and not isinstance(item, Repeat):
            return " ".join(names)
    raise SpecError(
        f'"{pattern}" has no axis called c, so it does not tell along which axes scale and bias '
        'vary; state it: normalize(x, spec(pattern, scale="...", bias="..."), scale=...)'
    )
