"""Running statistics: which state arrays a training call moves, towards which statistic, how fast.

    new = decay * old + (1 - decay) * batch

Which array holds the mean and which the variance is told by their values, not by their names. A
layer that takes its batch in parts may do this once for all of them, with the average of their
statistics, or once for each in turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from normscope.frameworks.layer import Array
from normscope.identify.formula.divisor import digits_needed, plain_number
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.verify import Claim, largest_error, tolerance
from normscope.identify.memory.statistics import MEAN, Statistic, Values, statistics_of
from normscope.identify.subject.precision import PRECISIONS
from normscope.identify.subject.subject import Floats, Subject
from normscope.notation.spec import Measure, NormSpec, Running
from normscope.sight.changes import IS_HALF

_STEPS = 3
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


@dataclass(frozen=True)
class Memory:
    """What training calls do to the state.

    Attributes:
        running: None where there is no fixed decay.
        known: whether it is known towards what the state moves.
        notes: what is unusual.
        by_deviation: what is stored beside the mean is about a deviation, which no `Running` says.
    """

    running: Running | None
    known: bool
    notes: tuple[str, ...]
    by_deviation: bool = False


def find_memory(probe: Probe, spec: NormSpec, used: tuple[str, ...] = ()) -> Memory | None:
    """What a training call makes of the state; None if it leaves it alone.

    Args:
        probe: the training mode, its structure known.
        spec: the normalization.
        used: the names of the arrays that it uses, where these are known.
    """
    subject = probe.subject
    names = [n for n in subject.state if n in subject.restless[True]]
    if not names:
        return None
    coarse = subject.eps if subject.eps > IS_HALF else 0.0  # so are the statistics
    precisions = {name: max(coarse, stored_precision(subject, name, probe.rng)) for name in names}
    records = [_record(probe, names, spec.eps, _starts(precisions, step)) for step in range(_STEPS)]
    following = _consecutive(probe, names, spec.eps)
    found = [
        follows
        for name in names
        if (follows := _follows(name, records, following, precisions[name])) is not None
    ]
    small = _on_small_batches(probe, found, spec, precisions)
    subject.write_back(*names)
    if subject.restless[True].isdisjoint(used):
        return _memory(small, names, spec)
    of_used = _memory([f for f in small if f.name in used], [n for n in names if n in used], spec)
    roots = [f for f in small if f.name not in used and f.steady and f.statistic.root]
    if of_used.known or not roots:
        return of_used
    return _about_a_deviation(roots[0])


def stored_precision(subject: Subject, name: str, rng: np.random.Generator) -> float:
    """The machine epsilon of the precision in which an array is kept: what it rounds to."""
    before = subject.state[name]
    wanted = rng.uniform(1.0, 2.0, before.shape)
    subject.write(name, wanted)
    error = float(np.max(np.abs(subject.state[name] - wanted)))
    subject.write(name, before)
    return next(
        (eps for eps in sorted(PRECISIONS.values()) if error <= 0.51 * eps),
        max(PRECISIONS.values()),
    )


def still_holds(probe: Probe, claim: Claim) -> bool:
    """Whether a claim holds after two training calls as well, on the state that they left."""
    subject = probe.subject
    moved = subject.restless[True] & subject.found.keys()
    for _ in range(2):
        _, arrays = subject.step(probe.rng.standard_normal(subject.shape) * 2 + 1, True)
        for name in moved:
            subject.write(name, arrays[name])
    holds = largest_error(probe, claim) <= tolerance(subject.eps)
    subject.write_back(*moved)
    return holds


@dataclass(frozen=True)
class _Record:
    """One training call: arrays before and after, and the statistics of the batch."""

    before: dict[str, Floats]
    after: dict[str, Floats]
    batch: dict[Statistic, dict[int, Values]]
    """By statistic and number of values."""


def _starts(precisions: dict[str, float], step: int) -> dict[str, float]:
    """How large the arrays are before a call: in half precisions 0, but for the last call.

    Beside an old value of some size a small share of the batch would be lost in rounding.
    """
    return {
        name: 0.0 if eps > IS_HALF and step < _STEPS - 1 else 1.0
        for name, eps in precisions.items()
    }


def _record(probe: Probe, names: list[str], eps: float, sizes: dict[str, float]) -> _Record:
    for name in names:
        shape = probe.subject.state[name].shape
        probe.subject.write(name, sizes[name] * probe.rng.uniform(0.5, 1.5, shape))
    return _step(probe, names, eps)[0]


def _step(
    probe: Probe, names: list[str], eps: float, size: float = 1.0
) -> tuple[_Record, dict[str, Array]]:
    subject, structure, rng = probe.subject, probe.structure, probe.rng
    before = {name: subject.state[name].ravel() for name in names}
    width = rng.uniform(0.5, 2.0, (structure.num_sets, 1))
    values = rng.standard_normal((structure.num_sets, structure.set_size))
    values += rng.uniform(-1.5, 1.5, (structure.num_sets, 1))
    x = subject.received(structure.from_sets(size * width * values))
    _, arrays = subject.step(x, True)
    after = {name: np.asarray(arrays[name], np.float64).ravel() for name in before}
    sizes = {value.size for value in before.values()}
    batch = statistics_of(structure, structure.to_sets(x), sizes, eps)
    return _Record(before, after, batch), arrays


def _consecutive(probe: Probe, names: list[str], eps: float) -> _Record:
    """A second training call right after a first, without putting anything back between."""
    subject = probe.subject
    for name in names:
        subject.write(name, probe.rng.uniform(0.5, 1.5, subject.state[name].shape))
    _, arrays = _step(probe, names, eps)
    changed = [n for n in arrays if n in subject.restless[True] and n in subject.found]
    kept = {name: subject.found[name] for name in changed}
    for name in changed:
        subject.write(name, arrays[name])
    record, _ = _step(probe, names, eps)
    for name, value in kept.items():
        subject.write(name, value)
    return record


def _follows(
    name: str, records: list[_Record], following: _Record, precision: float
) -> Follows | None:
    """The statistic that an array moves towards, if it does."""
    candidates: list[Follows] = []
    half = precision > IS_HALF
    for statistic in records[0].batch:
        for in_turn in (False, True):
            calls = _calls(name, statistic, records)
            if not calls or (in_turn and not (calls[0].values.in_turn and calls[0].parts > 1)):
                continue
            share = _turning_share(calls) if in_turn else _share(calls, half)
            residual = _residual(calls, share, in_turn, precision)
            if residual < 1:
                steady = _steady(name, statistic, following, share, in_turn, precision)
                decay = round(1 - plain_number(share, max(2e-4, precision / 2)), 12)
                parts = calls[0].parts
                candidates.append(Follows(name, statistic, decay, in_turn, parts, residual, steady))
    return min(candidates, key=_unlikely if half else _misfit, default=None)


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
            now = (1 - share) * now + share * part
        return now


def _calls(name: str, statistic: Statistic, records: list[_Record]) -> list[_Call]:
    """The calls of an array; none if it holds another number of values, or never changes."""
    if any(r.before[name].size not in r.batch[statistic] for r in records):
        return []
    calls = [
        _Call(r.before[name], r.after[name], r.batch[statistic][r.before[name].size])
        for r in records
    ]
    return calls if any(np.any(call.new != call.old) for call in calls) else []


def _share(calls: list[_Call], half: bool) -> float:
    """The share of the batch in the new value, by least squares."""
    weights = [1 / np.maximum(np.abs(call.new), 1e-30) if half else 1.0 for call in calls]
    towards = np.concatenate(
        [w * (call.values.average - call.old) for w, call in zip(weights, calls, strict=True)]
    )
    moved = np.concatenate(
        [w * (call.new - call.old) for w, call in zip(weights, calls, strict=True)]
    )
    return float(moved @ towards / (towards @ towards))


def _turning_share(calls: list[_Call]) -> float:
    """The same for parts in turn: the best of a grid, which is then made finer."""
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
    if precision > IS_HALF:
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
    following: _Record,
    share: float,
    in_turn: bool,
    precision: float,
) -> bool:
    """Whether the same share explains the call right after another one."""
    calls = _calls(name, statistic, [following])
    if not calls:
        return False
    if in_turn or precision > IS_HALF:
        return _residual(calls, share, in_turn, precision) < 1
    return abs(_share(calls, False) / share - 1) < 0.01


def _on_small_batches(
    probe: Probe, found: list[Follows], spec: NormSpec, precisions: dict[str, float]
) -> list[Follows]:
    """The same, told on a batch as small as an epsilon whether that is added to what is stored."""
    size = max(math.sqrt(spec.eps), spec.eps_outside, spec.floor) or _SMALL
    allowed = max(_AGREES_SMALL, 4 * probe.subject.eps)
    result = []
    for follows in found:
        if follows.statistic.kind == "mean" or not follows.steady:
            result.append(follows)
            continue
        probe.subject.write(follows.name, np.zeros(probe.subject.state[follows.name].shape))
        record, _ = _step(probe, [follows.name], spec.eps, size)
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
        if precisions[follows.name] > IS_HALF:  # what is stored of so small a batch is too coarse
            result.append(follows)
        elif best is not None and misfits[best] < allowed:
            result.append(replace(follows, statistic=best))
        else:
            result.append(replace(follows, exact=False))
    return result


def _memory(found: list[Follows], names: list[str], spec: NormSpec) -> Memory:
    """What a spec can say of it: a mean and a variance, or either, that move at one pace."""
    steady = [f for f in found if f.steady]
    means = [f for f in steady if f.statistic == MEAN]
    spreads = sorted(
        (f for f in steady if f.statistic != MEAN), key=lambda f: (not f.exact, f.statistic.root)
    )
    alone = spec.measure is Measure.NONE  # the mean is all that is stored
    unknown = [n for n in names if n not in {f.name for f in found}]
    if unknown and not (means and (spreads or alone)):
        words = f"training also changes {', '.join(unknown)}, towards no statistic that is known"
        return Memory(None, False, (words,))
    if not (means or spreads):
        return Memory(
            None,
            bool(found),
            (
                "the share of the old value in the running statistics changes from step to step, "
                "so they have no fixed decay",
            ),
        )
    if alone and means:
        return Memory(Running(means[0].decay), True, _in_turn(means[0]))
    if not spreads or (spec.center and not means):
        only = (means or spreads)[0]
        return Memory(None, False, (f"training changes {only.name} alone",))
    spread = spreads[0]
    decay, statistic = spread.decay, spread.statistic
    if means and (means[0].decay, means[0].in_turn) != (decay, spread.in_turn):
        words = f"the stored mean has decay {means[0].decay:g}, the stored {statistic} {decay:g}"
        return Memory(None, False, (words,))
    if statistic.kind != _STORED.get(spec.measure):
        return Memory(None, False, (f"what is stored beside the mean is the {statistic}",))
    if not spread.exact:
        if statistic.root:
            return _about_a_deviation(spread)
        words = f"what is stored beside the mean is the {statistic}"
        return Memory(None, False, (f"{words}, but for small batches something else",))
    running = Running(
        decay, ddof=statistic.ddof, plus_eps=statistic.plus_eps, deviation=statistic.root
    )
    return Memory(running, True, _in_turn(spread))


def _about_a_deviation(spread: Follows) -> Memory:
    words = f"what is stored beside the mean is the {replace(spread.statistic, plus_eps=False)}"
    return Memory(None, False, (words,), by_deviation=True)


def _in_turn(follows: Follows) -> tuple[str, ...]:
    """What is unusual of parts that come in turn."""
    if not follows.in_turn:
        return ()
    left = follows.decay**follows.parts
    return (
        f"training updates the running statistics once for each of the {follows.parts} parts of "
        f"the batch in turn, so that one call leaves {left:.4g} of the old values",
    )


_STORED = {Measure.VARIANCE: "variance", Measure.MEAN_SQUARE: "mean square"}
"""What running statistics hold of a measure."""
