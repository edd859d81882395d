"""Running statistics: which state arrays a training call moves, towards which statistic, how fast.

    new = decay * old + (1 - decay) * batch

Which array holds the mean and which the variance is told by their values, not by their names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from normscope.identify.adapters.base import Array
from normscope.identify.divisor import plain_number
from normscope.identify.probe import Probe
from normscope.identify.structure import Structure
from normscope.identify.subject import Floats
from normscope.identify.verify import Claim, largest_error, tolerance
from normscope.spec import Measure, NormSpec, Running

_STEPS = 3
_AGREES = 1e-3


@dataclass(frozen=True)
class Follows:
    """An array that follows a batch statistic."""

    name: str
    statistic: str
    decay: float
    residual: float
    steady: bool


@dataclass(frozen=True)
class Memory:
    """What training calls do to the state.

    Attributes:
        running: None where there is no fixed decay.
        known: whether it is known towards what the state moves.
        notes: what is unusual.
        by_deviation: a mean and a standard deviation are stored, which no `Running` can say.
    """

    running: Running | None
    known: bool
    notes: tuple[str, ...]
    by_deviation: bool = False


def find_memory(probe: Probe, spec: NormSpec) -> Memory | None:
    """What a training call makes of the state; None if it leaves it alone.

    Args:
        probe: the training mode, its structure known.
        spec: the normalization.
    """
    subject = probe.subject
    names = [n for n in subject.state if n in subject.restless[True]]
    if not names:
        return None
    records = [_record(probe, names) for _ in range(_STEPS)]
    following = _consecutive(probe, names)
    found = [
        follows for name in names if (follows := _follows(name, records, following)) is not None
    ]
    plus_eps = spec.eps > 0 and any(_adds_eps(probe, follows, spec.eps) for follows in found)
    subject.write_back(*names)
    return _memory(found, names, spec, plus_eps)


def _adds_eps(probe: Probe, follows: Follows, eps: float) -> bool:
    """Whether a stored variance has eps added: on a batch whose variance is that small."""
    if "variance" not in follows.statistic or not follows.steady:
        return False
    probe.subject.write(follows.name, np.zeros(probe.subject.state[follows.name].shape))
    record, _ = _step(probe, [follows.name], math.sqrt(10 * eps))
    statistic = record.batch[follows.statistic][record.after[follows.name].size]
    added = record.after[follows.name] / (1 - follows.decay) - statistic
    return bool(0.5 * eps < np.median(added) < 2 * eps)


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
    batch: dict[str, dict[int, Floats]]
    """By statistic and number of values."""


def _record(probe: Probe, names: list[str]) -> _Record:
    for name in names:
        shape = probe.subject.state[name].shape
        probe.subject.write(name, probe.rng.uniform(0.5, 1.5, shape))
    return _step(probe, names)[0]


def _step(probe: Probe, names: list[str], size: float = 1.0) -> tuple[_Record, dict[str, Array]]:
    subject, structure, rng = probe.subject, probe.structure, probe.rng
    before = {name: subject.state[name].ravel() for name in names}
    width = rng.uniform(0.5, 2.0, (structure.num_sets, 1))
    values = rng.standard_normal((structure.num_sets, structure.set_size))
    values += rng.uniform(-1.5, 1.5, (structure.num_sets, 1))
    x = subject.received(structure.from_sets(size * width * values))
    _, arrays = subject.step(x, True)
    after = {name: np.asarray(arrays[name], np.float64).ravel() for name in before}
    sizes = {value.size for value in before.values()}
    return _Record(before, after, _statistics(structure, structure.to_sets(x), sizes)), arrays


def _consecutive(probe: Probe, names: list[str]) -> _Record:
    """A second training call right after a first, without putting anything back between."""
    subject = probe.subject
    for name in names:
        subject.write(name, probe.rng.uniform(0.5, 1.5, subject.state[name].shape))
    _, arrays = _step(probe, names)
    changed = [n for n in arrays if n in subject.restless[True] and n in subject.found]
    kept = {name: subject.found[name] for name in changed}
    for name in changed:
        subject.write(name, arrays[name])
    record, _ = _step(probe, names)
    for name, value in kept.items():
        subject.write(name, value)
    return record


def _statistics(structure: Structure, x: Floats, sizes: set[int]) -> dict[str, dict[int, Floats]]:
    mean = x.mean(axis=1)
    variance = x.var(axis=1)
    count = x.shape[1]
    unbiased = variance * count / max(count - 1, 1)
    full = {
        "mean": mean,
        "variance": variance,
        "variance, ddof 1": unbiased,
        "mean square": (x**2).mean(axis=1),
        "standard deviation": np.sqrt(variance),
    }
    return {
        name: {size: reduced for size in sizes for reduced in _averaged(structure, values, size)}
        for name, values in full.items()
    }


def _averaged(structure: Structure, values: Floats, size: int) -> list[Floats]:
    """One value per set, averaged over those kept axes that an array of `size` has not."""
    kept = [structure.layout.known_sizes[i] for i in structure.layout.kept]
    apart = values.reshape(kept)
    for number in range(len(kept) + 1):
        for gone in combinations(range(len(kept)), number):
            if math.prod(kept) // math.prod(kept[i] for i in gone) == size:
                return [apart.mean(axis=gone).ravel()]
    return []


def _follows(name: str, records: list[_Record], following: _Record) -> Follows | None:
    """The statistic that an array moves towards, if it does."""
    best: Follows | None = None
    for statistic in records[0].batch:
        fitted = _share(name, statistic, records)
        if fitted is None:
            continue
        share, residual = fitted
        if best is None or residual < best.residual:
            again = _share(name, statistic, [following])
            steady = again is not None and abs(again[0] / share - 1) < 0.01
            best = Follows(name, statistic, _decay(share), residual, steady)
    return best if best is not None and best.residual < _AGREES else None


def _share(name: str, statistic: str, records: list[_Record]) -> tuple[float, float] | None:
    """The share of the batch in the new value, and how badly that explains it."""
    if any(r.before[name].size not in r.batch[statistic] for r in records):
        return None
    old = np.concatenate([r.before[name] for r in records])
    new = np.concatenate([r.after[name] for r in records])
    batch = np.concatenate([r.batch[statistic][r.before[name].size] for r in records])
    towards, moved = batch - old, new - old
    if not np.any(moved):
        return None
    share = float(moved @ towards / (towards @ towards))
    residual = float(np.linalg.norm(moved - share * towards) / np.linalg.norm(moved))
    return share, residual


def _decay(share: float) -> float:
    return round(1 - plain_number(share, 2e-4), 12)


def _memory(found: list[Follows], names: list[str], spec: NormSpec, plus_eps: bool) -> Memory:
    """What a spec can say of it: a mean and a variance, or either, that move at one pace."""
    steady = [f for f in found if f.steady]
    means = [f for f in steady if f.statistic == "mean"]
    spreads = [f for f in steady if f.statistic != "mean"]
    unknown = [n for n in names if n not in {f.name for f in found}]
    if unknown and not (means and spreads):
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
    if not spreads or (spec.center and not means):
        only = (means or spreads)[0]
        return Memory(None, False, (f"training changes {only.name} alone",))
    decay, spread = spreads[0].decay, spreads[0].statistic
    if means and means[0].decay != decay:
        words = f"the stored mean has decay {means[0].decay:g}, the stored {spread} {decay:g}"
        return Memory(None, False, (words,))
    if spread.split(",")[0] != _STORED.get(spec.measure):
        words = f"what is stored beside the mean is the {spread}"
        by_deviation = spec.measure is Measure.VARIANCE and spread == "standard deviation"
        return Memory(None, False, (words,), by_deviation)
    return Memory(Running(decay, ddof=int("ddof 1" in spread), plus_eps=plus_eps), True, ())


_STORED = {Measure.VARIANCE: "variance", Measure.MEAN_SQUARE: "mean square"}
"""What running statistics hold of a measure."""
