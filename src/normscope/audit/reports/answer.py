"""The answer with which every report begins: what is normalized over what, and who sees whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.reports.grouping import MOST_GROUPS, SiteGroup
from normscope.explain.reports.sentence import what_is_normalized
from normscope.sight.verdict import Samples, Through, Word
from normscope.wording import counted, listed

MOST_SENTENCES = 4
_MOST_OPERATORS = 6


def answer(groups: tuple[SiteGroup, ...]) -> tuple[str, ...]:
    """What the layers of a model normalize: one sentence if all do the same, else one for each way.

    Args:
        groups: the layers of the model, alike ones together.
    """
    total = sum(len(group.sites) for group in groups)
    if not total:
        return ("There is no normalization layer in this model.",)
    ways: dict[str, list[Site]] = {}
    for group in groups[:MOST_GROUPS]:
        ways.setdefault(_way(group), []).extend(group.sites)
    few = len(groups) <= MOST_GROUPS and len(ways) <= MOST_SENTENCES + 1
    if few and len(ways) == 1 and total > 1:
        return (f"Each of the {total} normalization layers {next(iter(ways))}.",)
    shown = list(ways.items())[: None if few else MOST_SENTENCES]
    sentences = [_sentence(way, sites, total) for way, sites in shown]
    left = total - sum(len(sites) for _, sites in shown)
    return (*sentences, *([f"The other {left} layers normalize in other ways."] if left else []))


def _sentence(way: str, sites: list[Site], total: int) -> str:
    if len(sites) == 1:
        return f"{sites[0].path or 'The model itself'} {way}."
    first = sites[0].path or "the model itself"
    verb, _, rest = way.partition(" ")
    return f"{len(sites)} of the {total} layers ({first}, ...) each {_PLURAL[verb]} {rest}."


_PLURAL = {"normalizes": "normalize", "mixes": "mix", "may": "may", "is": "are"}


def _way(group: SiteGroup) -> str:
    site = group.representative
    explanation = group.explanation
    if site.kind is Kind.MIXING:
        return f"mixes values as no pattern says it: {_short(site.words)}"
    if site.spec is None and not group.followed:
        return f"is known by its arrays alone: {_short(site.words)}"
    if site.spec is None:
        words = _short(site.words) or "no spec reproduces it"
        return f"may normalize, and it is not known how: {words}"
    if explanation is None:
        unknown = "whose shape is not known" if site.input_shape is None else "too small for it"
        return f'normalizes by the pattern "{site.spec.pattern}" an input {unknown}'
    what = what_is_normalized(explanation)
    if site.kind is Kind.UNKNOWN:
        return f"normalizes, as it declares and nothing could verify, {what}"
    if site.kind is Kind.STORED and site.in_training:
        return f"normalizes by stored statistics, in training too: those of {what}"
    if site.kind is Kind.STORED:
        return f"normalizes by stored statistics; in training it would be {what}"
    later = "; at inference it uses stored statistics" if site.running else ""
    return f"normalizes {what}{later}"


def _short(words: str) -> str:
    """What is said of a site, without the evidence in parentheses."""
    return words.partition(" (")[0]


def differences(groups: tuple[SiteGroup, ...]) -> Iterator[str]:
    """The headline: layers that compute something else than they declare, alike ones once."""
    for group in groups:
        differs = group.sites[0].differs
        if differs:
            verb = "is" if len(group.all_paths) == 1 else "are"
            said = differs if differs.startswith("not as") else f"not as declared: {differs}"
            yield f"{group.paths} {verb} {said.rstrip('.')}."


def who_sees_whom(graph: ModelGraph) -> Iterator[str]:
    """Whether any sample sees another, one sentence for each mode; equal ones are one."""
    if not graph.followed:
        return
    samples = {mode: _verdict(found) for mode, found in graph.samples.items()}
    if graph.one_mode:
        said = samples["inference"]
        yield f"{said[:1].upper()}{said[1:]}."
        return
    if len(samples) == 2 and len(set(samples.values())) == 1:
        yield f"In training and at inference, {next(iter(samples.values()))}."
        return
    for mode, said in samples.items():
        yield f"{'In' if mode == 'training' else 'At'} {mode}, {said}."


def _verdict(samples: Samples) -> str:
    why = samples.why.rstrip(".")
    match samples.verdict:
        case Word.PROVED:
            return "no sample sees another: proved on the operators"
        case Word.PROBED:
            open_at = place_of(samples.through)
            where = f" (the operators leave it open at {open_at})" if open_at else ""
            return f"no sample was seen to see another, by probing{where}"
        case Word.MIXED:
            through = place_of(samples.through)
            return "samples see each other" + (f", first through {through}" if through else "")
    at = place_of(samples.through)
    return (
        "it is not known whether samples see each other"
        + (f", because of {at}" if at else "")
        + (f": {why}" if why else "")
    )


def place_of(through: Through | None) -> str:
    """A place in a model: "bn1 (BatchNorm2d, aten.native_batch_norm, net.py:12)"."""
    if through is None:
        return ""
    path = through.path or "the model itself"
    told = [word for word in (through.type, through.operator, through.source) if word]
    return f"{path} ({', '.join(told)})" if told else path


def what_nobody_knows(operators: Mapping[str, int]) -> str:
    """The operators of which nothing is known, and what that means; "" if there is none."""
    if not operators:
        return ""
    named = [f"{name} ({times})" for name, times in operators.items()]
    more = len(named) - _MOST_OPERATORS
    if more > 0:
        named = [*named[:_MOST_OPERATORS], f"{more} more"]
    each = "it may mix all that it takes" if len(operators) == 1 else "each may mix all it takes"
    unknown = f"{counted(len(operators), 'operator')} that nobody knows, {listed(named)}"
    return f"{unknown}: {each}, so what is said here is weaker."
