"""`Explanation`: what a normalization computes on inputs of one shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from normscope.engine.plan import Plan
from normscope.explain.alternatives import Alternative, alternatives
from normscope.explain.facts import Facts
from normscope.explain.formula import latex_formula, plain_formula
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.native import NativeLayer
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from normscope.explain.reports.words import Section


@dataclass(frozen=True, repr=False)
class Explanation:
    """The explanation of a normalization on inputs of one shape.

    `str()` is the text, notebooks show text and picture, `to_dict()` has every number.

    Attributes:
        declaration: the layer as it was declared; its title is empty for a bare pattern.
        spec: the normalization in training, with the caller's axis names where they were given.
        layout: the spec fitted to the shape.
        facts: sets, sizes, who sees whom, parameters.
        dtype, plan: where a dtype was given, how `normalize` runs on a contiguous array of it; by
            the definition, where no kernels are built, there is no plan.
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
        from normscope.explain.reports.words import sections

        return sections(self)

    @cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The usual normalizations of such an input that this one is not."""
        return alternatives(self.spec, self.layout, self.facts)

    @cached_property
    def svg(self) -> str:
        """The picture: the array as a block of cells with one statistics set coloured."""
        from normscope.explain.reports.picture import picture
        from normscope.explain.reports.svg import draw_svg

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
        """True if inference takes remembered statistics, and none from its input."""
        return self.declaration.infer.pattern is None

    @property
    def contract_met(self) -> bool:
        """True if the input meets what the layer's documentation promises."""
        documented = self.declaration.documented
        return documented is None or len(documented.split()) == len(self.layout.shape)

    def __str__(self) -> str:
        from normscope.explain.reports.text import plain_text

        return plain_text(self)

    def __repr__(self) -> str:
        return str(self)

    def to_html(self) -> str:
        """The explanation as one self-contained page."""
        from normscope.explain.reports.html import as_html

        return as_html(self)

    def _repr_html_(self) -> str:
        from normscope.explain.reports.html import as_notebook_cell

        return as_notebook_cell(self)


def _native_dict(layer: NativeLayer) -> dict[str, str]:
    return {"code": layer.code, "difference": layer.difference, "caution": layer.caution}
