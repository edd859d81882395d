"""`explain`: what a normalization computes on inputs of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from normscope.engine.validation import check_set_size
from normscope.errors import SpecError
from normscope.explain.execution import dtype_name, planned
from normscope.explain.facts import facts_of
from normscope.explain.result import Explanation
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.settings import declare
from normscope.frameworks.text import names_layer
from normscope.notation.axis_roles import axis_labels, check_number_of_names
from normscope.notation.layout import Layout
from normscope.notation.shape import Size, checked_shape
from normscope.notation.spec import NormSpec, spec


def explain(
    layer: NormSpec | str | object,
    shape: Sequence[Size],
    *,
    axes: str | None = None,
    dtype: Any = None,
    **fields_and_sizes: Any,
) -> Explanation:
    r"""Say what a normalization computes on inputs of one shape.

    Args:
        layer: a `NormSpec`, a pattern, or a layer as for `spec_of`.
        shape: the shape of the input; None for an axis of any length.
        axes: names for the axes, such as `"b c h w"`, where the pattern has none.
        dtype: also say how `normalize` runs on a contiguous array of this dtype ("float32").
        **fields_and_sizes: with a pattern only, as for `spec`.

    Returns:
        The `Explanation`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: the shape does not meet the pattern, its statistics sets hold too few values, or
            it has an axis of any length although a dtype is given.
        DtypeError: `normalize` takes no arrays of that dtype.

    Example:
        >>> e = explain("b c [h w]", shape=(8, 128, 56, 56))
        >>> e.facts.num_sets, e.facts.set_size
        (1024, 3136)
        >>> print(e.formula)
        y = \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}}
        >>> explain("b c [h w]", shape=(8, 128, 56, 56), dtype="float32").plan.mode
        'rows'
    """
    shape = checked_shape(shape)
    if axes is not None:
        check_number_of_names(axes, shape)
    declaration = _declaration(layer, axes, fields_and_sizes)
    stated = declaration.train
    if stated.pattern is None and declaration.title:
        raise SpecError(
            f"{declaration.title} takes no statistic from its input, in training neither: it is "
            "frozen; explain(layer.spec, shape) tells of what it holds"
        )
    layout = stated.layout(shape)
    _check_sets(stated, layout)
    labels = axis_labels(layout)
    facts = facts_of(stated, layout, labels)
    if dtype is None:
        return Explanation(declaration, stated, layout, labels, facts)
    name = dtype_name(dtype)
    plan = planned(stated, layout, name)
    return Explanation(declaration, stated, layout, labels, facts, name, plan)


def _declaration(layer: object, axes: str | None, fields_and_sizes: dict[str, Any]) -> Declaration:
    if isinstance(layer, Declaration):
        return layer
    if isinstance(layer, str) and not names_layer(layer):
        return declare(spec(layer, **fields_and_sizes), axes=axes)
    if fields_and_sizes:
        names = ", ".join(fields_and_sizes)
        raise SpecError(f"{names}: fields and sizes go with a pattern; a layer has its own")
    return declare(layer, axes=axes)


def _check_sets(stated: NormSpec, layout: Layout) -> None:
    """Check the size of the sets as `normalize` does; an axis of any length is long enough."""
    axes = (replace(a, size=stated.ddof + 1) if a.size is None else a for a in layout.axes)
    check_set_size(stated, replace(layout, axes=tuple(axes)))
