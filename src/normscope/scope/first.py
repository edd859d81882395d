"""Through which submodule does a sample see another first?

The model runs three times: as it is, with other values for the one sample, and with other values
for the other one. An element inside the model that changes both times depends on both samples; the
first step of the run that holds such an element is the place. So nothing need be known of where
the samples are inside the model: they may be reshaped into windows, moved to another axis, packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from normscope.frameworks.arrays import Values
from normscope.frameworks.recorder import Call, Step
from normscope.sight.changes import Bools


@dataclass(frozen=True)
class First:
    """Where samples see each other first.

    Attributes:
        path: of the submodule; "" is the model itself.
        type: its class.
        call: 1 at its first call, 2 where it is used again, ...
        where: a place within its own code, such as "before it calls head"; "" is the whole of it.
    """

    path: str
    type: str
    call: int = 1
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.path} ({self.type})" if self.path else f"{self.type}, the model itself"
        if self.call > 1:
            place += f" in call {self.call}"
        return f"the code of {place}, {self.where}" if self.where else place


@dataclass(frozen=True)
class SamplePair:
    """How many samples there are, and which two are asked about."""

    count: int
    axis: int
    seeing: int


def first_place(
    base: list[Step], other_seen: list[Step], other_seeing: list[Step], samples: SamplePair
) -> First | None:
    """The first place in the run where the two samples meet; None if there is none.

    Args:
        base: the run of the model as it is.
        other_seen: the run with other values for the sample that is seen.
        other_seeing: the run with other values for the sample that sees it.
        samples: their number and axis.
    """
    met = _search(base, other_seen, other_seeing, samples.count)
    return met or _moved(base, other_seen, samples)


def _search(
    base: list[Step], other_seen: list[Step], other_seeing: list[Step], count: int
) -> First | None:
    runs = [{step.place: step for step in run} for run in (other_seen, other_seeing)]
    parted: Call | None = None  # in whose code the runs went different ways, first
    for step in base:
        seen, seeing = (run.get(step.place) for run in runs)
        if seen is None or seeing is None:
            parted = parted or step.inside
        elif any(both.any() for both in _both(step, seen, seeing, count)):
            found = _blamed(step)
            if parted is not None and (parted.path, parted.number) == (found.path, found.call):
                return replace(found, where="which decides by the values what it calls")
            return found
    return None


def _both(step: Step, seen: Step, seeing: Step, count: int) -> Iterator[Bools]:
    """Which elements depend on both samples; a statistic over samples is no sample's own."""
    for value, one, other in zip(step.values, seen.values, seeing.values, strict=False):
        if value.array.size >= count and value.shape == one.shape == other.shape:
            yield value.changed(one) & value.changed(other)


def _moved(base: list[Step], other_seen: list[Step], samples: SamplePair) -> First | None:
    """Where the one sample comes to the place of the other, as when samples are exchanged."""
    for step, seen in zip(base, other_seen, strict=False):
        if any(map(_arrives, step.values, seen.values, [samples] * len(step.values))):
            return _blamed(step)
    return None


def _arrives(value: Values, other: Values, samples: SamplePair) -> bool:
    axis = samples.axis
    if len(value.shape) <= axis or value.shape[axis] != samples.count:
        return False
    return bool(value.changed(other).take(samples.seeing, axis).any())


def _blamed(step: Step) -> First:
    """Whose code ran between this step and the one before it."""
    if step.entered and step.inside is not None:
        call, where = step.inside, f"before it calls {_named(step.call)}"
    else:
        call = step.call
        where = f"after it called {_named(step.previous)}" if step.previous else ""
    return First(call.path, call.kind, call.number, where)


def _named(call: Call) -> str:
    return f"{call.path} ({call.kind})"
