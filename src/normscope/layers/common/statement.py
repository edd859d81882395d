"""Statements to a layer (a spec, a pattern with its fields, a layer by name) -> `NormSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.text import named_layer, names_layer
from normscope.notation.spec import NormSpec, spec
from normscope.notation.values import shown


def stated(normalization: NormSpec | str, fields_and_sizes: Mapping[str, Any]) -> NormSpec:
    """The spec that a layer is about.

    Args:
        normalization: a `NormSpec`, a pattern, or a layer by name.
        fields_and_sizes: with a pattern fields of `NormSpec` and sizes of axes, with a `NormSpec`
            sizes alone, with a layer by name nothing.

    Raises:
        PatternError, SpecError: it is not stated correctly.

    Example:
        >>> print(stated(NormSpec("b [c]"), {"c": 4}))
        "b [c]" with c=4, eps=1e-05
        >>> print(stated("torch.LayerNorm(128)", {}))
        "... [c]" with c=128, eps=1e-05, scale and bias along c
    """
    if isinstance(normalization, str):
        if names_layer(normalization):
            return named_layer(normalization, fields_and_sizes).train
        return spec(normalization, **fields_and_sizes)
    if not isinstance(normalization, NormSpec):
        raise SpecError(
            'Norm takes a NormSpec, a pattern such as "b [c]", or a layer by name such as '
            f'"torch.LayerNorm(128)"; this is {shown(normalization)}'
        )
    return _with_sizes(normalization, dict(fields_and_sizes)) if fields_and_sizes else normalization


def _with_sizes(stated: NormSpec, sizes: dict[str, Any]) -> NormSpec:
    explicit = sizes.pop("sizes", {})
    for name in sizes:
        if name not in stated.parsed.names:
            raise SpecError(
                f'{name} is no axis of "{stated.pattern}", and the NormSpec says all else; change '
                f"it with dataclasses.replace(spec, {name}=...)"
            )
    return replace(stated, sizes={**stated.sizes, **sizes, **explicit})
