"""`explain`, and the `Explanation` that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from normscope.engine.plan import Plan
from normscope.engine.validation import check_set_size
from normscope.errors import ShapeError, SpecError
from normscope.explain.alternatives import Alternative, alternatives
from normscope.explain.execution import dtype_name, planned
from normscope.explain.facts import Facts, gather
from normscope.explain.formula import latex_formula, plain_formula
from normscope.explain.words import Section, sections
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.native import NativeLayer
from normscope.frameworks.settings import declare
from normscope.frameworks.text import names_layer
from normscope.notation.axis_roles import axis_labels
from normscope.notation.layout import Layout
from normscope.notation.shape import Size, checked_shape
from normscope.notation.spec import NormSpec, spec
from normscope.wording import counted


@dataclass(frozen=True, repr=False)
class Explanation:
    """What a normalization computes on inputs of one shape.

    `str()` is the text, notebooks show text and picture, `to_dict()` has every number.

    Attributes:
        declaration: the layer as it was declared; its title is empty for a bare pattern.
        spec: the normalization in training, with the caller's axis names where they were given.
        layout: the spec fitted to the shape.
        facts: sets, sizes, who sees whom, parameters.
        dtype, plan: where a dtype was given, how `normalize` runs on a contiguous array of it.
    """

    declaration: Declaration
    spec: NormSpec
    layout: Layout
    labels: tuple[str, ...]
    facts: Facts
    dtype: str = ""
    plan: Plan | None = None

    @property
    def formula(self) -> str:
        """The formula in LaTeX."""
        return latex_formula(self.spec)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The explanation in words."""
        return sections(self)

    @cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The usual normalizations of such an input that this one is not."""
        return alternatives(self.spec, self.layout, self.facts)

    @cached_property
    def svg(self) -> str:
        """The picture: the array as a block of cells with one statistics set coloured."""
        from normscope.explain.picture import picture
        from normscope.explain.svg import draw_svg

        return draw_svg(picture(self.layout, self.labels))

    def to_dict(self) -> dict[str, Any]:
        """Every fact as JSON types."""
        facts = self.facts
        return {
            "layer": self.declaration.title or None,
            "spec": self.spec.to_dict(),
            "spec_infer": self.declaration.infer.to_dict()
            if self.remembers
            else self.spec.to_dict(),
            "shape": list(self.layout.shape),
            "axes": [
                {"name": a.label, "size": a.size, "role": str(a.role), "word": a.word}
                for a in facts.axes
            ],
            "statistics_sets": {
                "count": facts.num_sets,
                "per_sample": facts.sets_per_sample,
                "size": facts.set_size,
            },
            "sample_independent": {
                "train": facts.sample_independent,
                "infer": True if self.remembers else facts.sample_independent,
            },
            "parameters": {
                name: asdict(fact) if fact else None
                for name, fact in (("scale", facts.scale), ("bias", facts.bias))
            },
            "formula": {"text": plain_formula(self.spec), "latex": self.formula},
            "contract": {
                "pattern": self.layout.pattern.text,
                "documented": self.declaration.documented,
                "documented_words": self.declaration.documented_words or None,
                "met": self.contract_met,
            },
            "plan": {"dtype": self.dtype, "text": str(self.plan)} if self.plan else None,
            "alternatives": [
                {
                    "name": other.name,
                    "pattern": other.spec.pattern,
                    "keras": _native_dict(other.keras) if other.keras else None,
                }
                for other in self.alternatives
            ],
        }

    @property
    def remembers(self) -> bool:
        """Whether inference takes remembered statistics, and none from its input."""
        return self.declaration.infer.pattern is None

    @property
    def contract_met(self) -> bool:
        """Whether the input meets what the layer's documentation promises."""
        documented = self.declaration.documented
        return documented is None or len(documented.split()) == len(self.layout.shape)

    def __str__(self) -> str:
        from normscope.explain.text import plain_text

        return plain_text(self)

    def __repr__(self) -> str:
        return str(self)

    def to_html(self) -> str:
        """The explanation as one self-contained page."""
        from normscope.explain.html import as_html

        return as_html(self)

    def _repr_html_(self) -> str:
        from normscope.explain.html import as_notebook_cell

        return as_notebook_cell(self)


def _native_dict(layer: NativeLayer) -> dict[str, str]:
    return {"code": layer.code, "difference": layer.difference, "caution": layer.caution}


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
    _check_axes(axes, shape)
    declaration = _declaration(layer, axes, fields_and_sizes)
    stated = declaration.train
    layout = stated.layout(shape)
    _check_sets(stated, layout)
    labels = axis_labels(layout)
    facts = gather(stated, layout, labels)
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


def _check_axes(axes: str | None, shape: Sequence[Size]) -> None:
    """One name for each axis of the shape."""
    rank = len(checked_shape(shape))
    if axes is not None and len(axes.split()) != rank:
        raise ShapeError(
            f'axes="{axes}" names {counted(len(axes.split()), "axis")}, the shape has {rank}',
            None,
            tuple(shape),
            'write one name for each, such as "b c h w" for four',
        )


def _check_sets(stated: NormSpec, layout: Layout) -> None:
    """As `normalize` does it, where an axis of any length is taken as long enough."""
    axes = (replace(a, size=stated.ddof + 1) if a.size is None else a for a in layout.axes)
    check_set_size(stated, replace(layout, axes=tuple(axes)))
