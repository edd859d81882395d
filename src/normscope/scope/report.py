"""The report of a scope: what a person should know, most important first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from normscope.notation.axis_words import axis_sentence
from normscope.sight.dependence import AxisDependence, Dependence
from normscope.sight.verdict import Word
from normscope.wording import counted

if TYPE_CHECKING:
    from normscope.scope.result import ModeScope, Scope

_NAMED = 6
"""So many outputs that depend alike are named."""


def report(found: Scope) -> str:
    """The whole report, as lines of text."""
    return "\n".join(_lines(found))


def _lines(found: Scope) -> Iterator[str]:
    yield f"{found.title} on {', '.join(_inputs(found))}"
    yield from (f"  {line}" for line in headlines(found))
    if found.one_mode or found.training.dependences == found.inference.dependences:
        yield from _mode("" if found.one_mode else "in both modes", found.inference, found.indices)
    else:
        yield from _mode("training", found.training, found.indices)
        yield from _mode("inference", found.inference, found.indices)
    yield "evidence"
    yield from (f"  - {line}" for line in found.evidence)


def _inputs(found: Scope) -> Iterator[str]:
    for name, shape in found.inputs.items():
        sizes = (f"{axis}={size}" for axis, size in zip(found.names[name], shape, strict=True))
        yield f"{name} ({', '.join(sizes)})"


def headlines(found: Scope) -> Iterator[str]:
    """Sentences that say whether samples see each other, one per mode."""
    training, inference = sentence(found.training), sentence(found.inference)
    if found.one_mode:
        yield _capitalized(inference)
    elif training == inference:
        yield f"In training and in inference, {inference}"
    else:
        yield f"In training, {training}"
        yield f"In inference, {inference}"


def sentence(mode: ModeScope) -> str:
    """The sentence that says whether samples see each other in this mode.

    >>> from normscope.scope import First, ModeScope
    >>> first = First("bn1", "BatchNorm2d")
    >>> sentence(ModeScope(samples_independent=False, pair=(0, 1), first=first))
    'sample 0 sees sample 1, first through bn1 (BatchNorm2d).'
    """
    if mode.samples_independent:
        proved = mode.samples.verdict is Word.PROVED
        return f"no sample sees another: {'proved' if proved else 'by probing'}."
    if mode.samples_independent is None or mode.pair is None:
        return f"whether samples see each other is not known: {'; '.join(mode.notes).rstrip('.')}."
    seeing, seen = mode.pair
    said = f"sample {seeing} sees sample {seen}"
    through = mode.samples.through
    if mode.first is None:
        where = f", first in {through}" if through is not None and through.operator else ""
        return f"{said}{where}."
    named = [through.operator, through.source] if through is not None else []
    operator = ", ".join(filter(None, named))
    first = f"{said}, first {'in' if mode.first.where else 'through'} {mode.first}"
    return f"{first}: {operator}." if operator else f"{first}."


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _mode(title: str, mode: ModeScope, indices: bool) -> Iterator[str]:
    if title and mode.dependences:
        yield title
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for pair in mode.dependences:
        lines = (*_axes(pair), *(_tables(pair) if indices else ()))
        alike.setdefault((pair.input, lines), []).append(pair.output)
    for (name, described), outputs in alike.items():
        verb = "depends" if len(outputs) == 1 else "depend"
        yield f"  {_listed(outputs)} {verb} on {name}" + ("" if described else ": not at all")
        yield from (f"    {line}" for line in described)


def _listed(names: list[str]) -> str:
    """`a, b and c`; of many, the first."""
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], counted(len(names) - _NAMED + 1, "more output")]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _axes(pair: Dependence) -> tuple[str, ...]:
    if pair.none:
        return ()
    return tuple(
        f"{axis.name:8} {axis.size:6}  {axis.word:14} {_axis_words(axis)}" for axis in pair.axes
    )


def _tables(pair: Dependence) -> Iterator[str]:
    for axis in () if pair.none else pair.axes:
        if axis.table is not None:
            yield from axis.table.lines()


def _axis_words(axis: AxisDependence) -> str:
    part = "all" if axis.word == "shared" else "a part"
    if axis.word == "none":
        return "the output does not change with it"
    if axis.output_axis is None:
        return f"the output has no such axis; it depends on {part} of {axis.name}"
    if axis.size != axis.output_size:
        return (
            f"each of the output's {counted(axis.output_size, 'index')} sees {part} of {axis.name}"
        )
    return axis_sentence(axis.name, axis.word)
