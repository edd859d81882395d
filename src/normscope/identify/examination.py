"""One mode of a layer, from the first look to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from normscope.frameworks.telling import advice_on
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.solve import Solved, Unsolved, solve
from normscope.identify.memory.counting import counting
from normscope.identify.memory.running import Memory, find_memory, still_holds
from normscope.identify.memory.stored import Pointwise, Stored, stored_normalization
from normscope.identify.sets.index_tables import index_tables
from normscope.identify.sets.look import dead_zones, look
from normscope.identify.sets.structure import axis_structure, structure
from normscope.identify.sets.unequal import unequal_in_words, unequal_sets
from normscope.identify.shown_sets import Pair, pairs
from normscope.identify.subject.nan_statistics import largest
from normscope.identify.subject.subject import Subject, TooManyCallsError
from normscope.notation.spec import NormSpec
from normscope.sight.index_table import IndexTable
from normscope.sight.sentences import describe_reach
from normscope.sight.sight import Sight


@dataclass(frozen=True)
class ModeReport:
    """What was found out about one mode.

    Attributes:
        sight: who sees whom.
        spec: the normalization, if it is one and was found.
        max_ulp: the largest difference from the reference, if there is a spec.
        certain: false if it may be a normalization that was not recognized.
        notes: the rest of the evidence.
        same: this mode computes the same as training.
        stored: it normalizes by stored statistics.
        pairs: where a formula was refused, sets in numbers.
    """

    sight: Sight
    spec: NormSpec | None = None
    max_ulp: float | None = None
    certain: bool = True
    notes: tuple[str, ...] = ()
    same: bool = False
    stored: bool = False
    pairs: tuple[Pair, ...] = ()

    def for_good(self) -> ModeReport:
        """The same at inference: statistics of the input need no memory."""
        if self.spec is None or self.spec.pattern is None:
            return self
        return replace(self, spec=replace(self.spec, running=None))


@dataclass
class Examination:
    """The examination of one layer: its modes, with common names and random numbers.

    Attributes:
        residual: the share of the input that training adds to the normalized values.
        refused: for modes whose formula is none that is known, how their sets are asked for.
    """

    subject: Subject
    names: tuple[str, ...]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20151))
    residual: float = 0.0
    refused: dict[bool, Probe] = field(default_factory=dict)

    def mode(self, training: bool) -> ModeReport:
        """Examine a mode on its own."""
        try:
            found = self._mode(training, None)
            if found.sight.finite and not found.sight.stochastic and self._remembers(training):
                return _remembering(found)
            return found
        except Exception as error:  # whatever the layer raises is evidence
            return raised(error)

    def with_pairs(self, training: bool, report: ModeReport) -> ModeReport:
        """The report with sets in numbers, if a formula was refused and calls are left."""
        if training not in self.refused or report.spec is not None:
            return report
        try:
            return replace(report, pairs=pairs(self.refused[training]))
        except Exception:  # a layer may refuse other values by any exception
            return report

    def indices(self, training: bool, report: ModeReport) -> tuple[IndexTable, ...]:
        """Index by index who sees whom, where two equal calls give the same."""
        if not report.sight.finite or report.sight.stochastic:
            return ()
        try:
            self.subject.write_all_back()
            self.move_parameters()
            return index_tables(self.subject, training, self.names, self.rng)
        except Exception:  # a layer may refuse other values by any exception
            return ()

    def inference_after(self, train: ModeReport) -> ModeReport:
        """Examine inference, knowing what training computes."""
        try:
            if self._same_in_both(train):
                return replace(train.for_good(), same=True)
            remembers = self._remembers(False)
            if remembers:
                self.subject.settle(self.rng)
            found = self._mode(False, train.spec)
            if remembers:
                unknown = found.spec is None
                return replace(
                    found, certain=found.certain and not unknown, notes=(*found.notes, _REMEMBERS)
                )
            return found
        except Exception as error:
            return raised(error)

    def _remembers(self, training: bool) -> bool:
        self.subject.write_all_back()
        return self.subject.remembers(training, self.rng)

    def _mode(self, training: bool, expected: NormSpec | None) -> ModeReport:
        self.subject.write_all_back()
        self.move_parameters()
        known = expected is not None  # then training has told
        half = () if known else self.subject.notice_precision(training, self.rng)
        found = self._verdict(training, expected)
        return replace(found, notes=(*found.notes, *half))

    def _verdict(self, training: bool, expected: NormSpec | None) -> ModeReport:
        sight = self._look(training, expected)
        if not sight.finite:
            return ModeReport(sight, certain=False, notes=("the output holds no finite number",))
        if sight.stochastic:
            return ModeReport(
                sight, certain=not training, notes=("two equal calls give different outputs",)
            )
        reach = tuple(describe_reach(sight))
        if sight.reach[1] == 0:
            return ModeReport(sight, certain=False, notes=reach)
        if sight.alone and not sight.pointwise:
            return ModeReport(sight, notes=(*reach, "elements are moved or left out"))
        if dead_zones(self.subject, training, self.rng, sight):
            sight = replace(sight, product=True)
            reach = (*reach, "which ones depends on the input: some outputs are cut off")
        if sight.sets is None:
            unequal = unequal_sets(self.subject, training, self.rng, sight)
            if unequal is not None:
                words = unequal_in_words(self.names[unequal[0]], unequal[1])
                return ModeReport(sight, certain=False, notes=(*reach, words))
            return ModeReport(sight, notes=(*reach, *_why_no_sets(sight)))
        if sight.pointwise:
            return self._pointwise(sight, training, expected)
        return self._normalizing(sight, training, reach)

    def _look(self, training: bool, expected: NormSpec | None) -> Sight:
        """Look with parameters moved away from initial zeros; as found if that shows more."""
        self.subject.write_all_back()
        self.move_parameters()
        places = 6 if expected is None or expected.running is None else 3
        sight = look(self.subject, training, self.rng, places)
        moved = self.subject.learned
        shown = sight.finite and (sight.product or not sight.same_shape)
        # moved far, parameters may hold a gate quite open, so that nothing is seen through it
        gated = sight.alone and bool(moved) and expected is None
        if sight.stochastic or (shown and not gated):
            return sight
        # moved parameters may also give no numbers, or let an activation cut off too much
        self.subject.write_all_back()
        as_found = look(self.subject, training, self.rng)
        if gated and as_found.finite and as_found.reach[1] > sight.reach[1]:
            return as_found
        if not sight.finite or (as_found.product and as_found.reach[1] >= sight.reach[1]):
            sight = as_found
        if sight.finite:
            for name, value in moved.items():
                self.subject.write(name, value)
        return sight

    def move_parameters(self) -> None:
        """Give all parameters values that hide nothing."""
        for name, value in self.subject.learned.items():
            self.subject.write(name, value + self.rng.uniform(0.3, 0.9, value.shape))

    def _pointwise(self, sight: Sight, training: bool, expected: NormSpec | None) -> ModeReport:
        found = stored_normalization(
            self.subject, training, self.names, self.rng, expected, self.residual
        )
        if isinstance(found, Pointwise):
            return ModeReport(sight, certain=expected is None, notes=(found.words,))
        spec, notes = found.spec, found.notes
        restless = self.subject.restless[True] & self.subject.state.keys()
        if spec.running is None and expected is None and restless:
            memory = self._memory_of(found)
            running = None if memory is None else memory.running
            if memory is None or not (
                memory.known or (memory.by_deviation and not found.deviation)
            ):
                words = "it is not known what training makes of the stored statistics"
                return ModeReport(sight, certain=False, notes=(f"divides by {spec}", words))
            if running is not None and running.deviation != found.deviation:
                # what moves as a deviation is another array than the one that is used
                running, words = None, "what is stored beside the mean is the standard deviation"
                notes = (*notes, words)
            spec, notes = replace(spec, running=running), (*notes, *memory.notes)
        counted = () if training else counting(self.subject, found, self.rng)
        if counted is None:
            words = "the stored statistics are used otherwise after each training call"
            return ModeReport(sight, certain=False, notes=(f"divides by {spec}", words))
        return ModeReport(sight, spec, found.max_ulp, notes=(*notes, *counted), stored=True)

    def _memory_of(self, found: Stored) -> Memory | None:
        """What training makes of stored statistics, if those are of all that share one of them."""
        sets = axis_structure(self.subject.shape, self.names, kept=found.axes)
        probe = Probe(self.subject, True, sets, self.rng)
        return find_memory(probe, found.spec, found.arrays)

    def _normalizing(self, sight: Sight, training: bool, reach: tuple[str, ...]) -> ModeReport:
        assert sight.sets is not None
        probe = Probe(
            self.subject,
            training,
            structure(self.subject.shape, self.names, sight.sets),
            self.rng,
        )
        precision = self.subject.eps
        found: Solved | Unsolved
        try:
            found = solve(probe)
        except TooManyCallsError as error:  # who sees whom is known all the same
            found = Unsolved(str(error), False)
        if isinstance(found, Unsolved):
            self.subject.eps = precision
            self.refused[training] = probe
            return ModeReport(sight, certain=found.certain, notes=(*reach, found.words))
        self.residual = found.claim.extras.residual
        spec, notes = found.claim.spec, found.notes
        if training:
            memory = find_memory(probe, spec)
            if memory is not None and not memory.known:
                return ModeReport(sight, certain=False, notes=(*reach, *memory.notes))
            if self.subject.restless[True] and not still_holds(probe, found.claim):
                used = "what it left in the layer" if memory is None else "the running statistics"
                return ModeReport(
                    sight,
                    notes=(
                        *reach,
                        f"the first training call is {found.hypothesis}, but later ones also use "
                        f"{used}",
                    ),
                )
            if memory is not None:
                spec = replace(spec, running=memory.running)
                notes = (*notes, *memory.notes)
        elif self._uses_memory():
            return ModeReport(
                sight,
                certain=False,
                notes=(*reach, "running statistics change the result, besides those of the input"),
            )
        return ModeReport(sight, spec, found.max_ulp, notes=(*reach, *notes))

    def _uses_memory(self) -> bool:
        """Whether arrays that training changes have a part in the result of inference."""
        subject = self.subject
        names = [name for name in subject.state if name in subject.restless[True]]
        if not names:
            return False
        x = self.rng.standard_normal(subject.shape)
        before = subject(x, False)
        for name in names:
            subject.write(name, subject.state[name] * 1.5 + 0.5)
        changed = largest(subject(x, False) - before) > 1e-3 * largest(before)
        subject.write_back(*names)
        return changed

    def _same_in_both(self, train: ModeReport) -> bool:
        """Whether both modes give the same outputs, on inputs of several sizes."""
        if not train.sight.finite or train.sight.stochastic:
            return False
        self.subject.write_all_back()
        self.move_parameters()
        for size in (1e-3, 1.0, 1e3):
            x = size * (self.rng.standard_normal(self.subject.shape) + 0.5)
            # inference first: a layer may remember what training has just seen
            try:
                infer, trained = self.subject(x, False), self.subject(x, True)
            except Exception:  # one of them may need what the other has left
                return False
            if trained.shape != infer.shape or not np.isfinite(trained).any():
                return False
            size_out = largest(trained)
            difference = np.abs(trained - infer)
            if not largest(difference) <= 64 * self.subject.eps * size_out:
                return False
        return True


_REMEMBERS = (
    "a training call on another input changes what this mode then gives: it remembers, in a place "
    "that is no array of the layer, so what it stores and how is not known; it was examined after "
    "a training call"
)


def _remembering(found: ModeReport) -> ModeReport:
    """The report on a mode whose later calls use what earlier ones left where none can look."""
    what = "it" if found.spec is None else f"the first call is {found.spec}, but it"
    words = f"{what} remembers: a call on another input changes what the next one gives"
    return replace(found, spec=None, max_ulp=None, certain=False, notes=(*found.notes, words))


def with_memory_of(train: ModeReport, infer: ModeReport) -> ModeReport:
    """Training that changes no statistics which inference uses all the same: their decay is 1."""
    if train.spec is None or infer.spec is None or infer.same or not infer.stored:
        return train
    if train.spec.running is not None or infer.spec.running is None:
        return train
    return replace(train, spec=replace(train.spec, running=infer.spec.running))


def _why_no_sets(sight: Sight) -> Iterator[str]:
    if not sight.same_shape:
        yield f"the output has another shape: {sight.output_shape}"
    elif not sight.product:
        yield "the elements that see each other are not all combinations of indices along axes"
        yield from sight.examples[:3]
    else:
        yield "the elements that see each other overlap, so they form no statistics sets"


def raised(error: Exception) -> ModeReport:
    """The report on a layer that cannot be called; what it raised is evidence."""
    first = " ".join(str(error).split())[:300]
    advice = advice_on(error)
    return ModeReport(
        Sight(finite=False),
        certain=False,
        notes=(f"the layer raised {type(error).__name__}: {first}", *advice),
    )
