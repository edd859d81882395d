"""Which batch statistic an array follows, by which share, and whether it does so steadily."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.divisor import digits_needed, plain_number
from normscope.identify.formula.probe import Probe
from normscope.identify.memory.records import Record, small_batch_record
from normscope.identify.memory.statistics import Statistic, Values
from normscope.identify.subject.subject import Floats
from normscope.notation.running import updated
from normscope.notation.spec import NormSpec
from normscope.sight.changes import is_half

_AGREES = 1e-3
_AGREES_HALF = 2.0  # roundings of a half precision
_SMALL = 1e-3
_AGREES_SMALL = 0.02  # an epsilon that is added makes ten times as much of a batch as small


@dataclass(frozen=True)
class Follows:
    """An array that follows a batch statistic.

    Attributes:
        in_turn: it does so once for each part of the batch in turn.
        parts: the number of the parts.
        residual: how badly that explains it, where 1 is what is accepted.
        steady: at the second call it is the same share.
        exact: it does so for small batches too.
    """

    name: str
    statistic: Statistic
    decay: float
    in_turn: bool
    parts: int
    residual: float
    steady: bool
    exact: bool = True


def follows_of(
    name: str, records: Sequence[Record], following: Record, precision: float
) -> Follows | None:
    """The statistic that an array moves towards, if it does."""
    candidates: list[Follows] = []
    coarse = is_half(precision)
    for statistic in records[0].batch:
        for in_turn in (False, True):
            calls = _calls(name, statistic, records)
            if not calls or (in_turn and not (calls[0].values.in_turn and calls[0].parts > 1)):
                continue
            share = _turning_share(calls) if in_turn else _share(calls, coarse)
            residual = _residual(calls, share, in_turn, precision)
            if residual < 1:
                steady = _steady(name, statistic, following, share, in_turn, precision)
                decay = round(1 - plain_number(share, max(2e-4, precision / 2)), 12)
                parts = calls[0].parts
                candidates.append(Follows(name, statistic, decay, in_turn, parts, residual, steady))
    return min(candidates, key=_unlikely if coarse else _misfit, default=None)


def told_on_small_batches(
    probe: Probe, found: list[Follows], spec: NormSpec, precisions: Mapping[str, float]
) -> list[Follows]:
    """Whether an epsilon is added to what is stored, told on a batch as small as the epsilon.

    Args:
        probe: the training mode.
        found: what each array follows for batches of usual size.
        spec: the normalization.
        precisions: by name of an array, the machine epsilon in which it is kept.
    """
    size = max(math.sqrt(spec.eps), spec.eps_outside, spec.floor) or _SMALL
    allowed = max(_AGREES_SMALL, 4 * probe.precision.eps)
    result = []
    for follows in found:
        if follows.statistic.kind == "mean" or not follows.steady:
            result.append(follows)
            continue
        record = small_batch_record(probe, follows.name, spec.eps, size)
        either = [
            replace(follows.statistic, plus_eps=plus_eps)
            for plus_eps in ((False, True) if spec.eps else (False,))
        ]
        misfits = {}
        for statistic in either:
            for call in _calls(follows.name, statistic, [record]):
                expected = call.expected(1 - follows.decay, follows.in_turn)
                misfits[statistic] = float(np.quantile(np.abs(expected / call.new - 1), 0.9))
        best = min(misfits, key=lambda statistic: misfits[statistic], default=None)
        if is_half(precisions[follows.name]):  # what is stored of so small a batch is too coarse
            result.append(follows)
        elif best is not None and misfits[best] < allowed:
            result.append(replace(follows, statistic=best))
        else:
            result.append(replace(follows, exact=False))
    return result


def _misfit(follows: Follows) -> float:
    return follows.residual


def _unlikely(follows: Follows) -> tuple[float, ...]:
    """For half precisions, where several statistics fit: the one whose share is the roundest.

    A variance with another ddof is one of another share.
    """
    digits = digits_needed(1 - follows.decay)
    return (follows.statistic.plus_eps, follows.in_turn, digits, follows.residual)


@dataclass(frozen=True)
class _Call:
    """An array before and after a call, and a statistic of the batch."""

    old: Floats
    new: Floats
    values: Values

    @property
    def parts(self) -> int:
        return len(self.values.parts)

    def expected(self, share: float, in_turn: bool) -> Floats:
        """The new values for a share of the batch."""
        now = self.old
        for part in self.values.parts if in_turn else [self.values.average]:
            now = updated(1 - share, now, part)
        return now


def _calls(name: str, statistic: Statistic, records: Sequence[Record]) -> list[_Call]:
    """The calls of an array; none if it holds another number of values, or never changes."""
    if any(r.before[name].size not in r.batch[statistic] for r in records):
        return []
    calls = [
        _Call(r.before[name], r.after[name], r.batch[statistic][r.before[name].size])
        for r in records
    ]
    return calls if any(np.any(call.new != call.old) for call in calls) else []


def _share(calls: list[_Call], coarse: bool) -> float:
    """The share of the batch in the new value, by least squares."""
    weights = [1 / np.maximum(np.abs(call.new), 1e-30) if coarse else 1.0 for call in calls]
    towards = np.concatenate(
        [w * (call.values.average - call.old) for w, call in zip(weights, calls, strict=True)]
    )
    moved = np.concatenate(
        [w * (call.new - call.old) for w, call in zip(weights, calls, strict=True)]
    )
    return float(moved @ towards / (towards @ towards))


def _turning_share(calls: list[_Call]) -> float:
    """The share of each part, where parts come in turn: the best of a finer and finer grid."""
    grid = np.concatenate([np.geomspace(1e-4, 0.5, 60), np.linspace(0.5, 1.0, 20)])

    def misfit(share: float) -> float:
        return sum(float(np.sum((c.expected(share, True) - c.new) ** 2)) for c in calls)

    for _ in range(8):
        values = [misfit(share) for share in grid]
        i = int(np.argmin(values))
        grid = np.linspace(grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)], 21)
    return float(grid[10])


def _residual(calls: list[_Call], share: float, in_turn: bool, precision: float) -> float:
    """How badly a share explains the calls, where 1 is what is accepted."""
    errors = [np.abs(call.expected(share, in_turn) - call.new) for call in calls]
    if is_half(precision):
        rounded = [
            error / (precision * np.maximum(np.abs(call.new), 2.0**-14))
            for error, call in zip(errors, calls, strict=True)
        ]
        return float(np.max(np.concatenate(rounded))) / _AGREES_HALF
    moved = np.concatenate([call.new - call.old for call in calls])
    size = float(np.linalg.norm(moved))
    return float(np.linalg.norm(np.concatenate(errors))) / size / _AGREES


def _steady(
    name: str,
    statistic: Statistic,
    following: Record,
    share: float,
    in_turn: bool,
    precision: float,
) -> bool:
    """Whether the same share explains the call right after another one."""
    calls = _calls(name, statistic, [following])
    if not calls:
        return False
    if in_turn or is_half(precision):
        return _residual(calls, share, in_turn, precision) < 1
    return abs(_share(calls, False) / share - 1) < 0.01
