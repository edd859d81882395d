"""What was promised, allowed or known: sentences that a report shows below its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from normscope.audit.promises import Promise, Standing
from normscope.audit.promises_at import Together
from normscope.wording import counted, listed

if TYPE_CHECKING:
    from normscope.audit.result import Audit

_MOST = 5


def accepted(audit: Audit) -> Iterator[str]:
    """Sentences on promises, allowances and the baseline.

    The promises, one sentence for each that stands alike in all modes; what is allowed; what is
    known from a baseline, and what of that is no longer there.
    """
    yield from _promises(audit.graph.promises)
    if audit.allowed:
        said = [
            f"{one.finding.code} at {one.finding.path or 'the model itself'} ({one.reason})"
            for one in audit.allowed
        ]
        yield f"Allowed: {_some(said)}."
    if audit.known:
        verb = "is" if len(audit.known) == 1 else "are"
        yield f"{counted(len(audit.known), 'finding')} {verb} known, in the baseline."
    if audit.stale:
        yield (
            f"No longer found, though in the baseline: {_some(list(map(str, audit.stale)))}; "
            "--write-baseline removes them."
        )


def _promises(promises: tuple[Promise, ...]) -> Iterator[str]:
    alike: dict[tuple[object, ...], list[Promise]] = {}
    for one in promises:
        alike.setdefault((one.wanted.kind, one.about, one.standing, one.how), []).append(one)
    for (_, _, standing, how), found in alike.items():
        together = Together(tuple(found))
        what = f"{together.asked} {together.modes}"
        if standing is Standing.KEPT:
            yield f"Promise kept: {what}: {how}."
        elif standing is Standing.BROKEN:
            yield f"Promise broken: {what}."
        else:
            yield f"Promise not known to be kept: {what}."


def _some(words: list[str]) -> str:
    more = len(words) - _MOST
    return listed(words if more <= 0 else [*words[:_MOST], f"{more} more"])
