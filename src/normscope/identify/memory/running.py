"""Running statistics: which state arrays a training call moves, towards which statistic, how fast.

    new = decay * old + (1 - decay) * batch

Which array holds the mean and which the variance is told by their values, not by their names. A
layer that takes its batch in parts may do this once for all of them, with the average of their
statistics, or once for each in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from normscope.frameworks.trees import Array
from normscope.identify.formula.claim import Claim
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.verify import largest_error, tolerance
from normscope.identify.memory.following import Follows, follows_of, told_on_small_batches
from normscope.identify.memory.records import consecutive_record, records_of, stored_precision
from normscope.identify.memory.statistics import MEAN
from normscope.notation.spec import Measure, NormSpec, Running


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
    coarse = probe.precision.eps if probe.precision.is_half else 0.0  # so are the statistics
    precisions = {name: max(coarse, stored_precision(subject, name, probe.rng)) for name in names}
    records = records_of(probe, precisions, spec.eps)
    following = consecutive_record(probe, names, spec.eps)
    found = [
        follows
        for name in names
        if (follows := follows_of(name, records, following, precisions[name])) is not None
    ]
    told = told_on_small_batches(probe, found, spec, precisions)
    if subject.restless[True].isdisjoint(used):
        return _memory(told, names, spec)
    of_used = _memory([f for f in told if f.name in used], [n for n in names if n in used], spec)
    roots = [f for f in told if f.name not in used and f.steady and f.statistic.root]
    if of_used.known or not roots:
        return of_used
    return _about_a_deviation(roots[0])


def still_holds(probe: Probe, claim: Claim) -> bool:
    """Whether a claim holds after two training calls as well, on the state that they left."""
    subject = probe.subject
    names = subject.restless[True] & subject.found.keys()
    left: dict[str, Array] = {}
    for _ in range(2):
        with subject.moved(left):
            _, arrays = subject.step(probe.rng.standard_normal(subject.shape) * 2 + 1, True)
        left = {name: arrays[name] for name in names}
    with subject.moved(left):
        return largest_error(probe, claim) <= tolerance(probe.precision.eps)


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
