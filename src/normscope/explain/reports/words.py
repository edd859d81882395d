"""An explanation in plain words: short sections of short lines, the same for every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normscope.explain.execution import execution
from normscope.explain.facts import AxisFact, Facts, ParameterFact
from normscope.explain.formula import plain_formula
from normscope.notation.axis_roles import Role, atomic_label
from normscope.notation.axis_words import axis_sentence
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec, Running
from normscope.wording import counted, listed

if TYPE_CHECKING:
    from normscope.explain.result import Explanation

ALTERNATIVES = "Other normalizations of this input"
"""The title of the section that has layers of Keras."""


@dataclass(frozen=True)
class Table:
    """The lines of a section that stand in columns; the first of each row names it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A title and what there is to say under it.

    Attributes:
        title: of the section.
        lines: all that there is to say.
        detail: it can wait until after the picture.
        table: what of it stands in columns, for reports that have tables; None if nothing does.
        beside: the lines that stand under the table there.
    """

    title: str
    lines: tuple[str, ...]
    detail: bool = False
    table: Table | None = None
    beside: tuple[str, ...] = ()


def sections(explanation: Explanation) -> tuple[Section, ...]:
    """The sections of an explanation, most important first."""
    spec, layout, facts = explanation.spec, explanation.layout, explanation.facts
    broken = not explanation.contract_met
    plan, dtype = explanation.plan, explanation.dtype
    tables = {
        "Who sees whom": (_sight_table(facts), (_samples(explanation.remembers, facts),)),
        ALTERNATIVES: (_alternatives_table(explanation), _how_to_see_alternatives(explanation)),
    }
    return tuple(
        Section(title, tuple(lines), detail, *tables.get(title, ()))
        for title, lines, detail in (
            ("Statistics", _statistics(spec, layout, facts, explanation.labels), False),
            ("Who sees whom", _sight(explanation), False),
            *([("Contract", _contract(explanation), False)] if broken else []),
            ("Formula", _formula(spec, facts), True),
            ("Learned", _learned(spec, facts), True),
            ("Training and inference", _modes(explanation), True),
            *([] if broken else [("Contract", _contract(explanation), True)]),
            *([("On NumPy", execution(plan, dtype), True)] if dtype else []),
            (ALTERNATIVES, _alternatives(explanation), True),
        )
    )


# Statistics


def _statistics(
    spec: NormSpec, layout: Layout, facts: Facts, labels: Sequence[str]
) -> Iterator[str]:
    shared = [atomic_label(layout, layout.axes[i], labels) for i in layout.shared]
    kept = [atomic_label(layout, layout.axes[i], labels) for i in layout.kept]
    within = f"for one {_each(kept)}" if kept else "the whole array"
    along = f"all of {listed(shared)}" if shared else "one element"
    size = _amount(layout, layout.shared, facts.set_size, "value", labels)
    number_of_sets = _amount(layout, layout.kept, facts.num_sets, "statistics set", labels)
    yield f"A statistics set is {along}, {within}: {size}."
    sets = number_of_sets.replace("one statistics", "One statistics", 1)
    yield f"{sets} in all{_per_sample(facts)}."
    if facts.set_size == 1 and spec.center:
        yield "With a single value per set nothing is left of the input but the bias."


def _each(names: Sequence[str]) -> str:
    """Each index on its own: `b, one c and one h`."""
    return listed([names[0], *(f"one {name}" for name in names[1:])])


def _amount(
    layout: Layout, axes: Sequence[int], total: Size, noun: str, labels: Sequence[str]
) -> str:
    """A product, its factors and its noun: `12 (3 × 4) values`, `b × 4 values`."""
    factors = [layout.axes[i] for i in axes]
    spelt = " × ".join(
        atomic_label(layout, axis, labels) if axis.size is None else f"{axis.size:,}"
        for axis in factors
    )
    if total is None:
        return f"{spelt} {noun}s" if len(factors) > 1 else f"one {noun} per index of {spelt}"
    number, _, what = counted(total, noun).partition(" ")
    return number + (f" ({spelt})" if len(factors) > 1 else "") + f" {what}"


def _per_sample(facts: Facts) -> str:
    if facts.sample_axis is None:
        return ""
    if not facts.sample_axis.independent:
        return ", each over all samples of the batch" if facts.sample_axis.word == "shared" else ""
    if facts.sets_per_sample is None:
        return ""
    return f", {facts.sets_per_sample:,} per sample"


# Who sees whom


def _sight(explanation: Explanation) -> Iterator[str]:
    rows = _sight_table(explanation.facts).rows
    width = max((len(name) for name, *_ in rows), default=0)
    for name, size, word, sees in rows:
        yield f"{name:{width}}  {size:>6}  {word:14} {sees}"
    yield _samples(explanation.remembers, explanation.facts)


def _sight_table(facts: Facts) -> Table:
    rows = tuple(
        (
            f"{axis.label} {_meaning(axis)}".rstrip(),
            "any" if axis.size is None else f"{axis.size:,}",
            axis.word,
            _sees(axis),
        )
        for axis in facts.axes
    )
    return Table(("Axis", "Length", "Indices are", "What that means"), rows)


_ROLES = {Role.SAMPLE: "(samples)", Role.CHANNEL: "(channels)"}

_LETTERS = {"h": "(height)", "w": "(width)", "t": "(time)"}


def _meaning(axis: AxisFact) -> str:
    return _ROLES.get(axis.role) or _LETTERS.get(axis.label, "")


def _sees(axis: AxisFact) -> str:
    if axis.word == "mixed":
        return f"some along {axis.label} see each other, by the parts of the pattern"
    return axis_sentence(axis.label, axis.word)


def _samples(remembers: bool, facts: Facts) -> str:
    if facts.sample_axis is None:
        return "No axis is known to count samples; name the axes to learn more."
    if facts.sample_independent:
        return "Each sample is normalized independently of the others."
    if remembers:
        return (
            "A sample's output depends on the others of its batch: in training, not at inference."
        )
    return "A sample's output depends on the other samples of its batch, at inference too."


# Formula


def _formula(spec: NormSpec, facts: Facts) -> Iterator[str]:
    yield plain_formula(spec)
    yield from _terms(spec, facts)
    yield from _eps(spec)


def _terms(spec: NormSpec, facts: Facts) -> Iterator[str]:
    size = "N" if facts.set_size is None else f"{facts.set_size:,}"
    values = "N values" if facts.set_size is None else counted(facts.set_size, "value")
    names = [
        *(["mean"] if spec.center else []),
        *(["var"] if spec.measure is Measure.VARIANCE else []),
    ]
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield f"{listed(names)} {verb} taken over the {values} of the statistics set"
    if spec.measure in (Measure.VARIANCE, Measure.MEAN_SQUARE):
        quantity = "var" if spec.measure is Measure.VARIANCE else "mean(x**2)"
        divisor = size if not spec.ddof else f"{size} - {spec.ddof}"
        unbiased = " (unbiased)" if spec.ddof == 1 and spec.measure is Measure.VARIANCE else ""
        yield f"{quantity} divides the sum of squares by {divisor}{unbiased}"
    if spec.measure is Measure.NONE:
        yield "the mean is subtracted; nothing is divided"


def _eps(spec: NormSpec) -> Iterator[str]:
    if spec.measure is Measure.NONE:
        return
    inside = f"{spec.eps:g} is added to what stands under the root (in units of x**2)"
    outside = f"{spec.eps_outside:g} is added to the root itself (in units of x)"
    if spec.eps and spec.eps_outside:
        yield f"eps enters twice: {inside};"
        yield f"  {outside}"
    elif spec.eps:
        yield f"eps = {inside}"
    elif spec.eps_outside:
        yield f"eps = {outside}, outside the root"
    elif not spec.floor and spec.unit_below is None:
        yield "no eps: a constant statistics set gives 0/0 (NaN)"
    if spec.floor:
        yield f"the divisor is never less than {spec.floor:g} (in units of x)"
    if spec.unit_below is not None:
        small = f"less than {spec.unit_below:g} (in units of x)" if spec.unit_below else "0"
        yield f"where the divisor would be {small} it is 1"


# Learned


def _learned(spec: NormSpec, facts: Facts) -> Iterator[str]:
    if facts.scale is None and facts.bias is None:
        yield "No learned scale or bias."
        return
    scale = "1 + scale" if spec.scale_shift else "scale"
    if facts.scale == facts.bias and facts.scale is not None:
        yield f"{scale} and bias have {_parameter(facts.scale)} each."
        return
    for name, fact in ((scale, facts.scale), ("bias", facts.bias)):
        yield f"{name} has {_parameter(fact)}." if fact else f"No {name}."


def _parameter(fact: ParameterFact) -> str:
    if not fact.axes:
        return "1 value for all"
    each = f"per index of {listed(fact.axes)}"
    return (
        f"one value {each}" if fact.count is None else f"{counted(fact.count, 'value')}, one {each}"
    )


# Training and inference


def _modes(explanation: Explanation) -> Iterator[str]:
    spec, facts = explanation.spec, explanation.facts
    if explanation.remembers and spec.running is None:
        yield "It takes its statistics from the data that it is fitted to, and remembers them."
        yield "Afterwards no statistic comes from the input: each sample is mapped independently."
        return
    if spec.running is None:
        yield "Training and inference compute the same; no running statistics are kept."
        if facts.sample_independent is False:
            yield "So at inference, too, a prediction changes with the other samples in its batch."
        return
    decay = spec.running.decay
    mean_only = spec.measure is Measure.NONE
    taken, them = ("the mean", "it") if mean_only else ("mean and variance", "them")
    yield f"Training takes {taken} from the batch, and remembers {them}:"
    yield (
        f"  running = {decay:g} * running + {1 - decay:g} * batch    "
        f"(decay {decay:g}; torch momentum {1 - decay:g})"
    )
    if not mean_only:
        yield from _remembered(spec.running)
    yield "Inference takes the remembered values: no statistic comes from the input,"
    yield "and each sample is mapped independently of the others."


def _remembered(running: Running) -> Iterator[str]:
    """Lines on what is remembered, where it is not the plain variance."""
    if running.deviation:
        if running.ddof:
            yield f"  its variance is divided by N - {running.ddof}"
        if running.plus_eps:
            yield "  what is remembered is sqrt(variance + eps); inference takes it for that root"
        else:
            yield "  what is remembered is the deviation, sqrt(variance)"
        return
    if running.ddof:
        yield f"  what is remembered is the variance divided by N - {running.ddof}"
    if running.plus_eps:
        yield "  what is remembered is the variance plus eps; inference adds eps once more"


# Contract


def _contract(explanation: Explanation) -> Iterator[str]:
    declaration, layout = explanation.declaration, explanation.layout
    rank = len(layout.shape)
    if declaration.documented is not None:
        wanted = len(declaration.documented.split())
        said = f'"{declaration.documented_words}"'
        yield f"Documented for {counted(wanted, 'axis')} only: {said}"
        if rank != wanted:
            yield f"This input has {rank}. Nothing enforces the contract; it is broken silently."
        else:
            yield "This input meets it."
        return
    yield f'The pattern "{layout.pattern}" accepts {_accepts(layout)}. This input meets it.'


# Other normalizations


def _alternatives(explanation: Explanation) -> Iterator[str]:
    yield from _how_to_see_alternatives(explanation)
    others = explanation.alternatives
    width = max((len(f"{other.spec.pattern}") for other in others), default=0)
    for other in others:
        yield f"{other.spec.pattern:{width}}  {other.name}"
        if other.keras:
            yield f"{'':{width}}  {other.keras.code}"
            for remark in filter(None, (other.keras.difference, other.keras.caution)):
                yield f"{'':{width}}  ({remark})"


def _how_to_see_alternatives(explanation: Explanation) -> tuple[str, ...]:
    if explanation.alternatives:
        return ()
    return ('Name the axes to see them: axes="b c h w" (--axes "b c h w").',)


def _alternatives_table(explanation: Explanation) -> Table | None:
    if not explanation.alternatives:
        return None
    rows = []
    for other in explanation.alternatives:
        keras = other.keras
        remarks = filter(None, (keras.difference, keras.caution)) if keras else ()
        code = keras.code if keras else ""
        rows.append((f'"{other.spec.pattern}"', other.name, code, "; ".join(remarks)))
    return Table(("Pattern", "What it normalizes", "In Keras", "Remarks"), tuple(rows))


def _accepts(layout: Layout) -> str:
    pattern = layout.pattern
    rank = f"exactly {counted(len(pattern.items), 'axis')}"
    if pattern.repeated or "..." in pattern.text:
        fixed = sum(1 for item in pattern.items if type(item).__name__ != "Repeat")
        rank = f"{counted(fixed, 'axis')} or more"
    splits = [
        f"axis {dim} divisible by {part.size}"
        for dim in range(len(layout.shape))
        for part in layout.parts(dim)[:1]
        if len(layout.parts(dim)) > 1 and part.size not in (None, 1)
    ]
    return ", ".join([rank, *splits])
