"""The evidence in sentences: what was seen, and what is not as the layer declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from normscope.errors import NormscopeError
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.settings import declare
from normscope.identify.compare import differences
from normscope.identify.modes import Modes
from normscope.identify.subject.subject import Subject
from normscope.sight.sentences import describe_silent
from normscope.wording import counted


def evidence(subject: Subject, names: tuple[str, ...], found: Modes) -> Iterator[str]:
    """What was seen, line by line."""
    train, infer, one_mode = found.train, found.infer, found.one_mode
    modes = [("training", train), ("inference", infer)]
    for title, report in modes[: 1 if one_mode or infer.same else 2]:
        prefix = "" if one_mode or infer.same else f"{title}: "
        silent = describe_silent(report.sight)
        yield from (f"{prefix}{note}" for note in (*report.notes, *silent))
        if report.max_ulp is not None:
            yield (
                f"{prefix}the reference with this spec agrees within {report.max_ulp:.3g} ulp on "
                "fresh inputs"
            )
    if infer.same:
        yield "training and inference give the same outputs"
    if subject.rearranged is not None:
        yield subject.rearranged
    changed = subject.restless[False]
    if changed and not one_mode:
        yield f"inference changes the state: {', '.join(sorted(changed))}"
    single = [name for name, size in zip(names, subject.shape, strict=True) if size == 1]
    if single:
        listed = ", ".join(single)
        also = (
            ", and a pattern that shares it would fit as well" if train.spec or infer.spec else ""
        )
        yield f"{listed}: of a single index it is not known whether it would see others{also}"
    yield from subject.adapter.notes
    yield counted(subject.calls, "call of the layer")


def declared_by(layer: Any, axes: str) -> Declaration | None:
    """What the settings of a layer declare; None if they cannot be read."""
    try:
        return declare(layer[0] if isinstance(layer, tuple) and layer else layer, axes=axes)
    except (NormscopeError, AttributeError, TypeError, ValueError):
        return None  # what cannot be read is not compared


def headline(declared: Declaration | None, found: Modes, shape: tuple[int, ...]) -> str:
    """The surprise, if what was found is not what the layer's settings declare; else nothing."""
    if declared is None:
        return ""
    parts = []
    for title, stated, report in (
        ("training", declared.train, found.train),
        ("inference", declared.infer, found.infer),
    ):
        if report.spec is None:
            continue
        try:
            parts.append((title, tuple(differences(stated, report.spec, shape))))
        except NormscopeError as error:
            parts.append((title, (f"the declared spec does not fit: {error.args[0]}",)))
    differing = [(title, lines) for title, lines in parts if lines]
    if not differing:
        return ""
    if len(differing) == 2 and differing[0][1] == differing[1][1]:
        differing = [("", differing[0][1])]
    said = "; ".join(
        (f"in {title}, " if title else "") + ", ".join(lines) for title, lines in differing
    )
    return f"not as its settings declare ({declared.title}): {said}"
