"""Training calls on record: the state arrays before and after, and the statistics of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normscope.frameworks.trees import Array
from normscope.identify.formula.probe import Probe
from normscope.identify.memory.statistics import Statistic, Values, statistics_of
from normscope.identify.subject.precision import PRECISIONS
from normscope.identify.subject.subject import Floats, Subject
from normscope.sight.changes import is_half

_CALLS = 3


@dataclass(frozen=True)
class Record:
    """One training call.

    Attributes:
        before, after: the arrays, flat, by name.
        batch: statistics of the batch, by statistic and number of values.
    """

    before: Mapping[str, Floats]
    after: Mapping[str, Floats]
    batch: Mapping[Statistic, Mapping[int, Values]]


def records_of(probe: Probe, precisions: Mapping[str, float], eps: float) -> list[Record]:
    """Training calls, each on other values of the arrays and another batch.

    Args:
        probe: the training mode, its structure known.
        precisions: by name of an array, the machine epsilon in which it is kept.
        eps: of the formula.
    """
    return [_record(probe, _starts(probe, _sizes(precisions, call)), eps) for call in range(_CALLS)]


def consecutive_record(probe: Probe, names: list[str], eps: float) -> Record:
    """A second training call right after a first, without putting anything back between."""
    subject = probe.subject
    with subject.moved(_starts(probe, dict.fromkeys(names, 1.0))):
        _, arrays = _step(probe, names, eps)
        left = {
            name: value
            for name, value in arrays.items()
            if name in subject.restless[True] and name in subject.found
        }
        with subject.moved(left):
            return _step(probe, names, eps)[0]


def small_batch_record(probe: Probe, name: str, eps: float, size: float) -> Record:
    """A training call on a batch of a small size, from an array of zeros."""
    with probe.subject.moved({name: np.zeros(probe.subject.state[name].shape)}):
        return _step(probe, [name], eps, size)[0]


def stored_precision(subject: Subject, name: str, rng: np.random.Generator) -> float:
    """The machine epsilon of the precision in which an array is kept: what it rounds to."""
    wanted = rng.uniform(1.0, 2.0, subject.state[name].shape)
    with subject.moved({name: wanted}):
        error = float(np.max(np.abs(subject.state[name] - wanted)))
    return next(
        (eps for eps in sorted(PRECISIONS.values()) if error <= 0.51 * eps),
        max(PRECISIONS.values()),
    )


def _sizes(precisions: Mapping[str, float], call: int) -> dict[str, float]:
    """How large the arrays are before a call: in half precisions 0, but for the last call.

    Beside an old value of some size a small share of the batch would be lost in rounding.
    """
    return {
        name: 0.0 if is_half(eps) and call < _CALLS - 1 else 1.0 for name, eps in precisions.items()
    }


def _starts(probe: Probe, sizes: Mapping[str, float]) -> dict[str, Floats]:
    """Random values of the arrays before a call, of these sizes."""
    state = probe.subject.state
    return {
        name: size * probe.rng.uniform(0.5, 1.5, state[name].shape) for name, size in sizes.items()
    }


def _record(probe: Probe, starts: Mapping[str, Floats], eps: float) -> Record:
    with probe.subject.moved(starts):
        return _step(probe, list(starts), eps)[0]


def _step(
    probe: Probe, names: list[str], eps: float, size: float = 1.0
) -> tuple[Record, dict[str, Array]]:
    """A training call on a batch of this size; its record, and all arrays as it left them."""
    subject, structure, rng = probe.subject, probe.structure, probe.rng
    before = {name: subject.state[name].ravel() for name in names}
    width = rng.uniform(0.5, 2.0, (structure.num_sets, 1))
    values = rng.standard_normal((structure.num_sets, structure.set_size))
    values += rng.uniform(-1.5, 1.5, (structure.num_sets, 1))
    x = probe.mode.received(structure.from_sets(size * width * values))
    _, arrays = subject.step(x, True)
    after = {name: np.asarray(arrays[name], np.float64).ravel() for name in before}
    sizes = {value.size for value in before.values()}
    batch = statistics_of(structure, structure.to_sets(x), sizes, eps)
    return Record(before, after, batch), arrays
