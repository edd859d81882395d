"""The report of an identification: what a person should know, most important first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from normscope.explain.formula import plain_formula
from normscope.notation.axis_roles import sample_axis
from normscope.notation.axis_words import axis_sentence
from normscope.notation.spec import Measure, NormSpec, Running

if TYPE_CHECKING:
    from normscope.identify.result import Identification, ModeReport, ShownSet

_IN_WORDS = 6
"""So many elements of a set are written."""


def report(found: Identification) -> str:
    """The whole report, as lines of text."""
    return "\n".join(_lines(found))


def _lines(found: Identification) -> Iterator[str]:
    shape = ", ".join(f"{name}={size}" for name, size in zip(found.names, found.shape, strict=True))
    yield f"{found.title} on ({shape}): {_verdict(found)}"
    if found.headline:
        yield f"  SURPRISE   {found.headline}"
    yield from _mode("training" if not found.one_mode else "", found.train_report, found)
    if not found.one_mode:
        if found.infer_report.same and found.infer_report.sight.axes:
            yield "inference    the same as training"
        else:
            yield from _mode("inference", found.infer_report, found)
    yield "evidence"
    yield from (f"  - {line}" for line in found.evidence)


def _verdict(found: Identification) -> str:
    match str(found.kind):
        case "normalization":
            return "a normalization"
        case "pointwise":
            if all(report.sight.pointwise for report in (found.train_report, found.infer_report)):
                return "no normalization; each output depends on the input at its own place only"
            return "no normalization; no output depends on more than one input"
        case "mixing":
            return "no normalization that a spec can say; outputs depend on several inputs"
        case _:
            return "unknown"


def _mode(title: str, mode: ModeReport, found: Identification) -> Iterator[str]:
    if title:
        yield title
    if mode.spec is not None:
        yield from _spec(mode.spec)
        running = mode.spec.running
        # inference only uses what training has left
        if (
            running is not None
            and title != "inference"
            and (mode.spec.pattern or running.decay < 1)
        ):
            yield _running(mode.spec, running)
    for name, word in zip(found.names, mode.sight.words, strict=False):
        yield f"  {name:10} {word:14} {axis_sentence(name, word)}"
    if mode.sight.words:
        yield f"  {sample_sentence(found, mode)}"
    for table in (found.indices or {}).get("infer" if title == "inference" else "train", ()):
        yield from (f"  {line}" for line in table.lines())
    if mode.shown_sets:
        yield f'  in numbers, one set of "{mode.shown_sets[0].pattern}" as the layer was found'
        yield from (f"    {line}" for shown in mode.shown_sets for line in _shown(shown))


def _spec(spec: NormSpec) -> Iterator[str]:
    sizes = ", ".join(f"{name}={size}" for name, size in spec.sizes.items())
    if spec.pattern is None:
        yield "  pattern    none: no statistic is taken from the input"
        yield f"  formula    {plain_formula(spec)}, with {_stored(spec)}"
    else:
        yield f'  pattern    "{spec.pattern}"' + (f" with {sizes}" if sizes else "")
        yield f"  formula    {plain_formula(spec)}" + (f", ddof {spec.ddof}" if spec.ddof else "")
    for word in ("scale", "bias"):
        names = getattr(spec, word)
        if names is not None:
            yield f"  {word:10} " + (f"along {names}" if names else "one number")


def _running(spec: NormSpec, running: Running) -> str:
    decay = running.decay
    return (
        f"  running    new = {decay:g} * old + {1 - decay:.6g} * batch "
        f"(torch momentum {1 - decay:.6g}), of {_followed(spec, running)}"
    )


def _stored(spec: NormSpec) -> str:
    """What stored statistics the formula of inference stands on."""
    if spec.measure is Measure.NONE:
        return "the running mean"
    means = "running mean and " if spec.center else ""
    if spec.running is not None and spec.running.deviation:
        return f"{means}running deviation, whose square is var"
    return f"{means}running variance"


def _followed(spec: NormSpec, running: Running) -> str:
    """What the running statistics follow besides the mean."""
    if spec.measure is Measure.NONE:
        return "the mean"
    kind = f"the variance with ddof {running.ddof}" + " plus eps" * running.plus_eps
    return f"the root of {kind}" if running.deviation else kind


def _shown(found: ShownSet) -> Iterator[str]:
    """A set in numbers; of its elements the first."""
    facts = (
        f"mean {found.mean:.4g}, variance {found.variance:.4g}, mean square {found.mean_square:.4g}"
    )
    yield f"x  {_first_of(found.x, found.size)}   ({facts})"
    yield f"y  {_first_of(found.y, found.size)}"


def _first_of(values: tuple[float, ...], size: int) -> str:
    more = f", ... ({size} in all)" if size > _IN_WORDS else ""
    return ", ".join(f"{value:.5g}" for value in values[:_IN_WORDS]) + more


def sample_sentence(found: Identification, mode: ModeReport) -> str:
    """Whether samples see each other."""
    axis = sample_axis(found.names)
    apart = mode.sight.apart(axis)
    if apart is None:
        reason = {
            "none": ": nothing changes with them",
            "not known": ": there is one only",
        }.get(mode.sight.words[axis] if axis < len(mode.sight.words) else "", "")
        return f"whether samples ({found.names[axis]}) see each other is not known{reason}"
    return f"samples ({found.names[axis]}) {'do not see' if apart else 'SEE'} " + (
        "each other" if apart else "EACH OTHER"
    )
