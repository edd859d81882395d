"""The examination of a layer: each mode from the first look to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from normscope.frameworks.mode_telling import advice_on
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.solve import Solved, solve
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.memory.counting import counting
from normscope.identify.memory.running import find_memory, still_holds
from normscope.identify.memory.same_outputs import same_outputs, uses_memory
from normscope.identify.memory.stored import Pointwise, Stored, stored_normalization
from normscope.identify.result import ModeReport
from normscope.identify.sets.index_tables import index_tables
from normscope.identify.sets.look import dead_zones, look
from normscope.identify.sets.structure import axis_structure, structure
from normscope.identify.sets.unequal import unequal_in_words, unequal_sets
from normscope.identify.shown_sets import show_sets
from normscope.identify.subject.coarser_precision import notice_precision
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats, Subject, TooManyCallsError
from normscope.notation.spec import NormSpec
from normscope.sight.index_table import IndexTable
from normscope.sight.sentences import describe_reach
from normscope.sight.sight import Sight
from normscope.wording import one_line


@dataclass(frozen=True)
class Examined:
    """What was found out about one mode, and what the examination goes on with.

    Attributes:
        report: what was found out.
        precision: what the mode computes in.
        residual: the share of the input that is added to the normalized values.
        refused: how the sets are asked for whose formula is none that is known.
    """

    report: ModeReport
    precision: Precision
    residual: float = 0.0
    refused: Probe | None = None

    def because(self, *notes: str) -> Examined:
        """More evidence for the same."""
        return replace(self, report=replace(self.report, notes=(*self.report.notes, *notes)))


@dataclass(frozen=True)
class Examination:
    """The examination of one layer: its modes, with common names and random numbers."""

    subject: Subject
    names: tuple[str, ...]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20151))

    def mode(self, training: bool) -> Examined:
        """Examine a mode on its own."""
        try:
            found = self._mode(training, None)
            sight = found.report.sight
            if sight.finite and not sight.stochastic and self._remembers(training, found):
                return replace(found, report=_remembering(found.report))
            return found
        except Exception as error:  # whatever the layer raises is evidence
            return Examined(raised(error), self.subject.precision)

    def inference_after(self, train: Examined) -> Examined:
        """Examine inference, knowing what training computes."""
        try:
            if self._same_in_both(train):
                return replace(train, report=replace(train.report.at_inference(), same=True))
            remembers = self._remembers(False, train)
            if remembers:
                self.subject.settle(self.rng)
            found = self._mode(False, train)
            if not remembers:
                return found
            certain = found.report.certain and found.report.spec is not None
            return replace(found, report=replace(found.report, certain=certain)).because(_REMEMBERS)
        except Exception as error:
            return Examined(raised(error), train.precision)

    def with_shown_sets(self, found: Examined) -> ModeReport:
        """The report with sets in numbers, if a formula was refused and calls are left."""
        report = found.report
        if found.refused is None or report.spec is not None:
            return report
        try:
            return replace(report, shown_sets=show_sets(found.refused))
        except Exception:  # a layer may refuse other values by any exception
            return report

    def indices(self, training: bool, found: Examined) -> tuple[IndexTable, ...]:
        """Index by index who sees whom, where two equal calls give the same."""
        if not found.report.sight.finite or found.report.sight.stochastic:
            return ()
        try:
            with self.subject.moved(self._elsewhere()):
                return index_tables(self._asked(training, found.precision), self.names)
        except Exception:  # a layer may refuse other values by any exception
            return ()

    def _asked(self, training: bool, precision: Precision) -> Mode:
        return Mode(self.subject, training, precision, self.rng)

    def _elsewhere(self) -> dict[str, Floats]:
        """Values of the parameters that hide nothing, as an initial 1 or 0 does."""
        return {
            name: value + self.rng.uniform(0.3, 0.9, value.shape)
            for name, value in self.subject.learned.items()
        }

    def _remembers(self, training: bool, found: Examined) -> bool:
        return self.subject.remembers(training, found.precision.eps, self.rng)

    def _same_in_both(self, train: Examined) -> bool:
        if not train.report.sight.finite or train.report.sight.stochastic:
            return False
        with self.subject.moved(self._elsewhere()):
            return same_outputs(self._asked(True, train.precision))

    def _mode(self, training: bool, train: Examined | None) -> Examined:
        """Examine a mode.

        Args:
            training: which.
            train: what was found out about training, if this is inference.
        """
        expected = None if train is None else train.report.spec
        mode = self._asked(training, self.subject.precision)
        words: tuple[str, ...] = ()
        elsewhere = self._elsewhere()
        if train is not None and expected is not None:  # then training has told
            mode = mode.at(train.precision)
        else:
            with self.subject.moved(elsewhere):
                precision, words = notice_precision(mode)
            mode = mode.at(precision)
        sight, parameters = self._look(mode, expected)
        with self.subject.moved(parameters):
            return self._verdict(mode, sight, train).because(*words)

    def _look(self, mode: Mode, expected: NormSpec | None) -> tuple[Sight, dict[str, Floats]]:
        """Look with parameters moved away from initial zeros; as found if that shows more.

        Returns:
            What was seen, and the parameters with which the mode is to be asked further.
        """
        elsewhere = self._elsewhere()
        places = 6 if expected is None or expected.running is None else 3
        with self.subject.moved(elsewhere):
            sight = look(mode, places)
        shown = sight.finite and (sight.product or not sight.same_shape)
        # moved far, parameters may hold a gate quite open, so that nothing is seen through it
        gated = sight.alone and bool(elsewhere) and expected is None
        if sight.stochastic or (shown and not gated):
            return sight, elsewhere
        # moved parameters may also give no numbers, or let an activation cut off too much
        as_found = look(mode)
        if gated and as_found.finite and as_found.reach[1] > sight.reach[1]:
            return as_found, {}
        if not sight.finite or (as_found.product and as_found.reach[1] >= sight.reach[1]):
            sight = as_found
        return sight, elsewhere

    def _verdict(self, mode: Mode, sight: Sight, train: Examined | None) -> Examined:
        refusal = _without_sets(mode, sight)
        if refusal is not None:
            return Examined(refusal, mode.precision)
        reach = tuple(describe_reach(sight))
        if dead_zones(mode, sight):
            sight = replace(sight, product=True)
            reach = (*reach, "which ones depends on the input: some outputs are cut off")
        if sight.sets is None:
            return Examined(_no_sets(mode, sight, self.names, reach), mode.precision)
        if sight.pointwise:
            return self._pointwise(mode, sight, train)
        return self._normalizing(mode, sight, reach)

    def _pointwise(self, mode: Mode, sight: Sight, train: Examined | None) -> Examined:
        expected = None if train is None else train.report.spec
        residual = 0.0 if train is None else train.residual
        found = stored_normalization(mode, self.names, expected, residual)
        if isinstance(found, Pointwise):
            report = ModeReport(sight, certain=expected is None, notes=(found.words,))
            return Examined(report, found.precision)
        told = self._with_memory(mode, found) if expected is None else found
        if isinstance(told, Unsolved):
            return Examined(_only_divides(sight, found.spec, told), found.precision)
        counted = () if mode.training else counting(mode, found)
        if isinstance(counted, Unsolved):
            return Examined(_only_divides(sight, told.spec, counted), found.precision)
        notes = (*told.notes, *counted)
        report = ModeReport(sight, told.spec, told.max_ulp, notes=notes, stored=True)
        return Examined(report, found.precision)

    def _with_memory(self, mode: Mode, found: Stored) -> Stored | Unsolved:
        """What training makes of the stored statistics, if it makes anything of them."""
        restless = self.subject.restless[True] & self.subject.state.keys()
        if found.spec.running is not None or not restless:
            return found
        # they are of all elements that share one of them
        sets = axis_structure(mode.shape, self.names, kept=found.axes)
        probe = Probe(replace(mode, training=True, precision=found.precision), sets)
        memory = find_memory(probe, found.spec, found.arrays)
        if memory is None or not (memory.known or (memory.by_deviation and not found.deviation)):
            return Unsolved("it is not known what training makes of the stored statistics", False)
        running, notes = memory.running, found.notes
        if running is not None and running.deviation != found.deviation:
            # what moves as a deviation is another array than the one that is used
            running = None
            notes = (*notes, "what is stored beside the mean is the standard deviation")
        spec = replace(found.spec, running=running)
        return replace(found, spec=spec, notes=(*notes, *memory.notes))

    def _normalizing(self, mode: Mode, sight: Sight, reach: tuple[str, ...]) -> Examined:
        assert sight.sets is not None
        probe = Probe(mode, structure(mode.shape, self.names, sight.sets))
        found: Solved | Unsolved
        try:
            found = solve(probe)
        except TooManyCallsError as error:  # who sees whom is known all the same
            found = Unsolved(str(error), False)
        if isinstance(found, Unsolved):
            report = ModeReport(sight, certain=found.certain, notes=(*reach, found.reason))
            return Examined(report, mode.precision, refused=probe)
        with self.subject.moved(found.parameters):
            report = _remembered(probe.at(found.precision), found, sight, reach)
        return Examined(report, found.precision, found.claim.extras.residual)


def _without_sets(mode: Mode, sight: Sight) -> ModeReport | None:
    """The report on a mode of which the sight says already that there are no sets to look for."""
    if not sight.finite:
        return ModeReport(sight, certain=False, notes=("the output holds no finite number",))
    if sight.stochastic:
        return ModeReport(
            sight, certain=not mode.training, notes=("two equal calls give different outputs",)
        )
    reach = tuple(describe_reach(sight))
    if sight.reach[1] == 0:
        return ModeReport(sight, certain=False, notes=reach)
    if sight.alone and not sight.pointwise:
        return ModeReport(sight, notes=(*reach, "elements are moved or left out"))
    return None


def _no_sets(
    mode: Mode, sight: Sight, names: tuple[str, ...], reach: tuple[str, ...]
) -> ModeReport:
    """The report on a mode whose elements see each other, but form no statistics sets."""
    unequal = unequal_sets(mode, sight)
    if unequal is not None:
        words = unequal_in_words(names[unequal[0]], unequal[1])
        return ModeReport(sight, certain=False, notes=(*reach, words))
    return ModeReport(sight, notes=(*reach, *_why_no_sets(sight)))


def _why_no_sets(sight: Sight) -> Iterator[str]:
    if not sight.same_shape:
        yield f"the output has another shape: {sight.output_shape}"
    elif not sight.product:
        yield "the elements that see each other are not all combinations of indices along axes"
        yield from sight.examples[:3]
    else:
        yield "the elements that see each other overlap, so they form no statistics sets"


def _only_divides(sight: Sight, spec: NormSpec, why: Unsolved) -> ModeReport:
    """The report on a mode that divides by stored statistics, which is not all that it does."""
    notes = (f"divides by {spec}", why.reason)
    return ModeReport(sight, certain=why.certain, notes=notes)


def _remembered(probe: Probe, found: Solved, sight: Sight, reach: tuple[str, ...]) -> ModeReport:
    """The report on a normalization, with what its mode leaves in the layer or finds there."""
    spec, notes = found.claim.spec, (*reach, *found.notes)
    if not probe.mode.training:
        if not uses_memory(probe.mode):
            return ModeReport(sight, spec, found.max_ulp, notes=notes)
        words = "running statistics change the result, besides those of the input"
        return ModeReport(sight, certain=False, notes=(*reach, words))
    memory = find_memory(probe, spec)
    if memory is not None and not memory.known:
        return ModeReport(sight, certain=False, notes=(*reach, *memory.notes))
    if probe.subject.restless[True] and not still_holds(probe, found.claim):
        used = "what it left in the layer" if memory is None else "the running statistics"
        words = f"the first training call is {found.hypothesis}, but later ones also use {used}"
        return ModeReport(sight, notes=(*reach, words))
    if memory is not None:
        spec, notes = replace(spec, running=memory.running), (*notes, *memory.notes)
    return ModeReport(sight, spec, found.max_ulp, notes=notes)


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


def raised(error: Exception) -> ModeReport:
    """The report on a layer that cannot be called; what it raised is evidence."""
    said = one_line(error)
    advice = advice_on(error)
    return ModeReport(
        Sight(finite=False),
        certain=False,
        notes=(f"the layer raised {type(error).__name__}: {said}", *advice),
    )
