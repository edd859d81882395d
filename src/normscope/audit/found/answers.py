"""What each site answers: of alike ones the smallest is asked, the others are checked."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from normscope.audit.found.asked import MOST_ELEMENTS, Asked, Shape, asked, operators_of
from normscope.audit.found.check import Checked, check
from normscope.audit.found.guess import guesses
from normscope.audit.found.matching import Matched
from normscope.audit.found.site import Kind
from normscope.audit.found.words import sums_to_one, words_of
from normscope.errors import NormscopeError
from normscope.frameworks.declaration import Declaration
from normscope.graph.replay import CannotReplayError
from normscope.graph.sites import Form
from normscope.graph.stored_statistics import takes_a_root
from normscope.identify.identify import identify
from normscope.identify.result import Identification, Kind as Identified
from normscope.identify.subject.subject import Subject
from normscope.notation.spec import NormSpec

_SMALL = 2**14
"""Elements of an input that may be asked in vain."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a site answered.

    Attributes:
        kind: what it turned out to be.
        train, infer: the specs.
        max_ulp: the largest difference seen.
        verified: whether the specs were held against this very site.
        declared: what the layer's settings declare.
        differs, words, dismissed: as in `FoundSite`.
        names: of its arrays by role.
        arrays: the numbers of all its arrays.
    """

    kind: Kind
    train: NormSpec | None = None
    infer: NormSpec | None = None
    max_ulp: float | None = None
    verified: bool = False
    declared: Declaration | None = None
    differs: str = ""
    words: str = ""
    dismissed: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def answers(pairs: list[Matched]) -> dict[Matched, Answer]:
    """The answers of all sites; of alike ones, the smallest is asked, the others are checked."""
    found: dict[Matched, Answer] = {}
    alike: dict[Hashable, list[tuple[Matched, Asked]]] = {}
    for pair in pairs:
        try:
            one = asked(pair)
        except CannotReplayError as error:
            found[pair] = Answer(Kind.UNKNOWN, words=str(error))
            continue
        alike.setdefault(one.key, []).append((pair, one))
    for group in alike.values():
        group.sort(key=lambda entry: math.prod(entry[1].full))
        known: list[Answer] = []
        for pair, one in group:
            if known:
                one.told_by(group[0][1])
            answer = _as_known(pair, one, known)
            if answer is None:
                answer = _asked_in_full(pair, one)
                known.append(answer)
            found[pair] = answer
    return found


def _as_known(pair: Matched, one: Asked, known: list[Answer]) -> Answer | None:
    """The answer of a site that does what an alike one does; None if it does not."""
    for answer in known:
        if answer.train is None and answer.infer is None:
            return answer
        told = _told(pair, one, answer.train, answer.infer)
        if told is not None:
            return replace(
                answer,
                max_ulp=told.max_ulp,
                declared=one.declared,
                names=told.names,
                arrays=told.arrays,
            )
    return None


def _told(
    pair: Matched, one: Asked, train: NormSpec | None, infer: NormSpec | None
) -> Checked | None:
    """Whether the specs hold for a site; an activation that its layer has is left out."""
    for asked_one in (one, operators_of(pair)) if one.own else (one,):
        for shape in asked_one.shapes():
            told = _checked(asked_one, shape, train, infer)
            if told is not None:
                return told
            if asked_one.takes(shape):
                break
    return None


def _checked(
    one: Asked, shape: Shape, train: NormSpec | None, infer: NormSpec | None
) -> Checked | None:
    """Whether the specs of both modes hold for a site, and its arrays by role."""
    subject = Subject(one.adapter, shape)
    told: list[Checked] = []
    modes = one.adapter.modes
    with subject.untouched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mode, spec in ((True, train), (False, infer)):
            if spec is None or (told and (one.one_mode or mode not in modes)):
                continue
            checked = check(subject, mode if mode in modes else modes[0], spec)
            if checked is None:
                return None
            told.append(checked)
    roles = {role: name for one in told for role, name in one.names.items()}
    worst = max((one.max_ulp for one in told), default=0.0)
    return Checked(worst, roles, {name: subject.found[name] for name in roles.values()})


def _asked_in_full(pair: Matched, one: Asked) -> Answer:
    """The answer of a site that is like none before."""
    with one.ordinary() as ordinary:
        found = _identification(ordinary)
    if found is None and not one.own:  # the root of a stored variance below 0 is no number
        with one.ordinary(positive=True) as ordinary:
            found = _identification(ordinary)
    if isinstance(found, Answer):
        return found
    if found is None:
        if one.own:
            return _asked_in_full(pair, operators_of(pair))
        return Answer(Kind.UNKNOWN, words="its operators could not be run again on other numbers")
    shape, identification = found
    if identification.kind is not Identified.NORMALIZATION and one.own:
        return _asked_in_full(pair, operators_of(pair))
    return _answer(pair, one, shape, identification)


def _identification(one: Asked) -> Answer | tuple[Shape, Identification] | None:
    """What a site is, at the first shape that tells it; None if there is none."""
    for shape in one.shapes():
        if not one.takes(shape):
            continue
        if math.prod(shape) > MOST_ELEMENTS:
            return _supposed(one, shape)
        try:
            identification = _identified(one, shape)
        except NormscopeError:  # it cannot be called in this way
            continue
        if identification.kind is not Identified.NORMALIZATION and one.own:
            return shape, identification
        if identification.kind is Identified.NORMALIZATION:
            if not _holds_in_full(one, shape, identification):
                continue
        elif shape != one.full and math.prod(one.full) <= _SMALL:
            identification = _identified(one, shape := one.full)  # numbers may be meant for it
        return shape, identification
    return None


def _identified(one: Asked, shape: Shape) -> Identification:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return identify(one.layer, shape)


def _holds_in_full(one: Asked, shape: Shape, found: Identification) -> bool:
    """Whether what a small input told holds at the shape of the model too."""
    if one.own or shape == one.full or math.prod(one.full) > 8 * MOST_ELEMENTS:
        return True
    specs = found.train, found.infer
    if _checked(one, shape, *specs) is None:  # it cannot be checked in this way at all
        return True
    return _checked(one, one.full, *specs) is not None


def _supposed(one: Asked, shape: Shape) -> Answer:
    """The answer of a site too large to be asked: what is declared, if that holds."""
    declared = one.declared
    if declared is not None:
        told = _checked(one, shape, declared.train, declared.infer)
        if told is not None:
            return Answer(
                Kind.NORMALIZATION,
                declared.train,
                declared.infer,
                told.max_ulp,
                True,
                declared,
                names=told.names,
                arrays=told.arrays,
            )
    for spec in _guessed(one, shape):
        told = _checked(one, shape, spec, spec)
        if told is not None:
            return Answer(
                Kind.NORMALIZATION,
                spec,
                spec,
                told.max_ulp,
                True,
                declared,
                names=told.names,
                arrays=told.arrays,
            )
    return Answer(Kind.UNKNOWN, declared=declared, words="it is too large to be asked")


def _guessed(one: Asked, shape: Shape) -> list[NormSpec]:
    """What it may be, by few calls."""
    subject = Subject(one.adapter, shape)
    try:
        with subject.untouched(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(guesses(subject, one.adapter.modes[0]))
    except Exception:  # it may refuse by any exception
        return []


def _answer(pair: Matched, one: Asked, shape: Shape, found: Identification) -> Answer:
    specs = [spec for spec in (found.train, found.infer) if spec is not None]
    if not specs:
        return _without_spec(pair, one, shape, found)
    told = _told(pair, one, found.train, found.infer)
    ulps = [r.max_ulp for r in (found.train_report, found.infer_report) if r.max_ulp is not None]
    kind = Kind.NORMALIZATION
    if all(spec.pattern is None for spec in specs):
        beyond = (
            found.train is None and True in pair.by_mode
        )  # as batch renormalization in training
        kind = Kind.MIXING if beyond else Kind.STORED
    return Answer(
        kind,
        _without_memory(found.train, one),
        _without_memory(found.infer, one),
        max(ulps, default=None),
        True,
        one.declared,
        found.headline if one.own else "",
        words="; ".join(_further(found)),
        names={} if told is None else told.names,
        arrays={} if told is None else told.arrays,
    )


def _without_memory(spec: NormSpec | None, one: Asked) -> NormSpec | None:
    """The spec of the operators alone, which do not show what training makes of the memory."""
    if spec is None or one.own or spec.running is None:
        return spec
    return replace(spec, running=None)


def _further(found: Identification) -> list[str]:
    """What else is done, in one of the modes of which there is no spec."""
    return [
        f"in {mode}: {'; '.join(report.notes)}"
        for mode, report in (("training", found.train_report), ("inference", found.infer_report))
        if report.spec is None and report.notes
    ]


def _without_spec(pair: Matched, one: Asked, shape: Shape, found: Identification) -> Answer:
    site = pair.first.site
    if site.form is Form.CENTRED:
        return Answer(
            Kind.MIXING, dismissed="a mean is added or subtracted, and nothing normalized"
        )
    if site.form is Form.STORED and not takes_a_root(site.nodes):
        return Answer(Kind.UNKNOWN, dismissed="a factor made of what the model holds, and no more")
    if sums_to_one(one, site, shape):
        return Answer(Kind.MIXING, dismissed="weights that sum to one")
    notes = "; ".join(found.train_report.notes)
    if found.kind is Identified.MIXING:
        return Answer(Kind.MIXING, words=words_of(site, notes))
    return Answer(Kind.UNKNOWN, words=words_of(site, notes))
