"""What was promised of a live model: proved on its operators and its sites, else seen by calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from normscope.audit.axes import Lineage, lineage_along
from normscope.audit.found.site import FoundSite, Kind as SiteKind
from normscope.audit.promises import About, Kind, Promise, Standing, Wanted
from normscope.audit.readers.positions import compared, numbers_of, standing_of, statistics_along
from normscope.errors import NormscopeError
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.graph.operators import Graph, Node, Role
from normscope.graph.proof import causal
from normscope.notation.axis_roles import sample_axis
from normscope.notation.axis_words import axis_word
from normscope.scope.calls import Calls
from normscope.scope.causality import axes_called, causality_in
from normscope.scope.effect import effect
from normscope.scope.tiles import tiles
from normscope.sight.verdict import Samples, Through, Word
from normscope.wording import counted

_NOT_FOLLOWED = "the model could not be followed in this mode"


def resolved(
    wanted: Sequence[Wanted], given: Inputs, names: list[tuple[str, ...]]
) -> dict[Wanted, list[int | None]]:
    """Of each promise, its axis in each input.

    Raises:
        SpecError: no input has it.
    """
    return {one: axes_called(given, names, one.axis) for one in wanted}


@dataclass(frozen=True)
class Promised:
    """What promises are judged by.

    Attributes:
        live: the model, which is called; its state may change.
        given: its inputs.
        names: of their axes.
        graphs: of the modes, True is training.
        found: the sites, those that are dismissed left out.
        samples: for each mode by its name, whether samples see each other.
    """

    live: Live
    given: Inputs
    names: list[tuple[str, ...]]
    graphs: Mapping[bool, Graph]
    found: Sequence[FoundSite]
    samples: Mapping[str, Samples]

    def judged(self, axes: Mapping[Wanted, list[int | None]]) -> tuple[Promise, ...]:
        """What was found of each promise, in each mode in which it is to hold."""
        own = [sample_axis(names) if names else None for names in self.names]
        found: list[Promise] = []
        for wanted, along in axes.items():
            of_samples = all(axis in (None, own[n]) for n, axis in enumerate(along))
            judge = self._positions
            if wanted.kind is Kind.CAUSAL:
                judge = self._causal
            elif of_samples:
                judge = self._samples
            seen: dict[bool, Promise] = {}
            for mode in wanted.modes:  # of a model with one mode both are the same
                training = self.live.modes[0] if len(self.live.modes) == 1 else mode == "training"
                if training not in seen:
                    seen[training] = judge(wanted, mode, training, along)
                found.append(replace(seen[training], mode=mode))
        return tuple(found)

    # --- samples, steps -----------------------------------------------------------------------

    def _samples(
        self, wanted: Wanted, mode: str, training: bool, axes: list[int | None]
    ) -> Promise:
        samples = self.samples[mode]
        if samples.verdict in (Word.PROVED, Word.PROBED):
            how = "proved" if samples.verdict is Word.PROVED else "by probing"
            return Promise(
                wanted, About.SAMPLES, mode, Standing.KEPT, how, samples.through, samples.why
            )
        standing = Standing.BROKEN if samples.verdict is Word.MIXED else Standing.UNKNOWN
        measured = ""
        numbers: dict[str, float | int] = {}
        if standing is Standing.BROKEN:
            change = self._change(training, axes)
            if change is not None:
                measured, numbers = change
        sites = self._along(training, axes)[0] if standing is Standing.BROKEN else ()
        return Promise(
            wanted,
            About.SAMPLES,
            mode,
            standing,
            "",
            samples.through,
            samples.why,
            sites,
            measured,
            numbers,
        )

    def _change(
        self, training: bool, axes: list[int | None]
    ) -> tuple[str, dict[str, float | int]] | None:
        """How much a sample changes with another, in words and as numbers."""
        pairs = zip(self.given.arrays, axes, strict=True)
        count = max((array.shape[axis] for array, axis in pairs if axis is not None), default=0)
        calls = Calls(self.live, self.given)
        for other in dict.fromkeys((1, count - 1, count // 2)):
            try:
                seen = effect(calls, training, axes, 0, other) if 0 < other < count else None
            except Exception:  # a model may refuse other values by any exception
                return None
            if seen is not None:
                return (
                    f"sample 0 changes {seen} when sample {other} is replaced",
                    {"sample": 0, "replaced": other, "change": seen.change, "spread": seen.spread},
                )
        return None

    def _causal(self, wanted: Wanted, mode: str, training: bool, axes: list[int | None]) -> Promise:
        graph = self.graphs.get(training)
        if graph is None:
            return Promise(wanted, About.STEPS, mode, Standing.UNKNOWN, why=_NOT_FOLLOWED)
        calls = Calls(self.live, self.given)
        found = causality_in(calls, training, axes, causal(graph, axes))
        if found.causal:
            how = "proved" if found.proved else "by probing"
            return Promise(wanted, About.STEPS, mode, Standing.KEPT, how, found.through, found.why)
        along = self._along(training, axes)[0]
        if found.causal is None:
            return self._causal_by_sites(wanted, mode, training, axes, along) or Promise(
                wanted, About.STEPS, mode, Standing.UNKNOWN, "", found.through, found.why
            )
        leak = found.leak
        numbers = (
            {}
            if leak is None
            else {
                "step": leak.step,
                "later_step": leak.later,
                "steps_ahead": leak.ahead,
                "output": leak.output,
                "input": leak.input,
            }
        )
        measured = "" if leak is None else f"{leak}, {counted(leak.ahead, 'step')} later"
        return Promise(
            wanted,
            About.STEPS,
            mode,
            Standing.BROKEN,
            "",
            found.through,
            found.why,
            along,
            measured,
            numbers,
        )

    def _causal_by_sites(
        self,
        wanted: Wanted,
        mode: str,
        training: bool,
        axes: list[int | None],
        along: tuple[int, ...],
    ) -> Promise | None:
        """A break where the steps of an output are others than those of the inputs.

        Statistics along the steps, and a first quarter of the output that changes with the second
        half of the input; None where that is not so.
        """
        if not along:
            return None
        outputs = self._outputs(training, axes)
        if not tiles(Calls(self.live, self.given), training, axes, outputs).early:
            return None
        why = "the first quarter of the output changes with the second half of the input"
        place = _place(self.found[along[0]])
        return Promise(wanted, About.STEPS, mode, Standing.BROKEN, "", place, why, along, why)

    # --- positions ----------------------------------------------------------------------------

    def _positions(
        self, wanted: Wanted, mode: str, training: bool, axes: list[int | None]
    ) -> Promise:
        graph = self.graphs.get(training)
        if graph is None:
            return Promise(wanted, About.POSITIONS, mode, Standing.UNKNOWN, why=_NOT_FOLLOWED)
        along, unclear = self._along(training, axes)
        seen = tiles(Calls(self.live, self.given), training, axes, self._outputs(training, axes))
        lineage = self._lineages(axes)[training]
        if along and seen.far is False and all(self._in_parts(n, training, axes) for n in along):
            why = (
                f"{statistics_along(wanted.axis, len(self.found), along)} within parts of it, as a "
                "window does, and far ends of it do not see each other"
            )
            return Promise(
                wanted,
                About.POSITIONS,
                mode,
                Standing.KEPT,
                "by probing",
                None,
                why,
                (),
                compared(seen),
                numbers_of(seen),
            )
        reached = None if lineage is None else _first_reduced(graph, lineage)
        standing, how, why = standing_of(
            wanted.axis, len(self.found), along, unclear, seen, reached
        )
        blamed = (along or unclear)[:1] if standing is not Standing.KEPT else ()
        return Promise(
            wanted,
            About.POSITIONS,
            mode,
            standing,
            how,
            _place(self.found[blamed[0]]) if blamed else None,
            why,
            along if standing is Standing.BROKEN else (),
            compared(seen),
            numbers_of(seen),
        )

    def _in_parts(self, number: int, training: bool, axes: list[int | None]) -> bool:
        """Whether the statistics of a site lie within parts of an axis of the inputs, as patches.

        That axis was split in two or more, of which one keeps its indices apart.
        """
        found = self.found[number]
        lineage = self._lineages(axes)[found.modes[0]]
        there = None if lineage is None else lineage.axes(found.site.x)
        spec = found.train if training else found.infer
        if not there or spec is None:
            return False
        layout = spec.layout(found.input_shape)
        words = {axis_word(layout, axis) for axis in there}
        return words != {"shared"}

    def _outputs(self, training: bool, axes: list[int | None]) -> dict[str, int]:
        """The axis of each output that comes from these axes, by the name of the output."""
        graph, lineage = self.graphs[training], self._lineages(axes)[training]
        names = graph.output_names
        found = {}
        for number, value in enumerate(graph.outputs):
            there = lineage.axes(value) if lineage is not None else None
            if there is not None and len(there) == 1 and number < len(names):
                found[names[number]] = min(there)
        return found

    # --- sites --------------------------------------------------------------------------------

    @cached_property
    def _followed(self) -> dict[tuple[int | None, ...], dict[bool, Lineage | None]]:
        return {}

    def _lineages(self, axes: list[int | None]) -> dict[bool, Lineage | None]:
        """In each mode, what comes from these axes of the inputs; followed once."""
        key = tuple(axes)
        if key not in self._followed:
            graphs = self.graphs.items()
            self._followed[key] = {mode: lineage_along(graph, axes) for mode, graph in graphs}
        return self._followed[key]

    def _along(
        self, training: bool, axes: list[int | None]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The sites whose statistics run along axes of the inputs in a mode, and the unclear."""
        lineages = self._lineages(axes)
        along, unclear = [], []
        for number, one in enumerate(self.found):
            runs = _runs_along(one, training, lineages[one.modes[0]])
            if runs:
                along.append(number)
            elif runs is None:
                unclear.append(number)
        return tuple(along), tuple(unclear)


def _runs_along(found: FoundSite, training: bool, lineage: Lineage | None) -> bool | None:
    """Whether the statistics of a site run along an axis of the inputs; None if not known."""
    spec = found.train if training else found.infer
    if training not in found.modes and len(found.modes) == 1 and spec is None:
        return False
    if found.kind is SiteKind.STORED or (spec is not None and spec.pattern is None):
        return False
    axes = None if lineage is None else lineage.axes(found.site.x)
    if axes is not None and not axes:
        return False
    if axes is None or spec is None:
        return None
    try:
        layout = spec.layout(found.input_shape)
    except NormscopeError:  # a spec for another shape
        return None
    return any(axis_word(layout, axis) != "independent" for axis in axes)


def _place(found: FoundSite) -> Through:
    return Through(found.path, found.type, found.operator, found.source)


def _first_reduced(graph: Graph, lineage: Lineage) -> Node | None:
    """The first mean, sum or extreme that may run along the axis of a lineage, as statistics do."""
    for node in graph.nodes:
        if node.role not in (Role.STATISTIC, Role.EXTREME, Role.RUNNING) or not node.operands:
            continue
        before, after = node.operands[0], node.results[0]
        there = lineage.axes(before) if before.live else frozenset()
        gone = there is None or node.role is Role.RUNNING or lineage.axes(after) != there
        if gone and there != frozenset():
            return node
    return None
