"""Proofs on a graph: samples do not see each other; a step in time does not see a later one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from normscope.graph.lattice import NOBODY, Ints, Lattice, Samples, Steps, numbered
from normscope.graph.operators import Graph, Node, Value
from normscope.graph.owners import Owners, owners_of_inputs
from normscope.wording import counted


class Verdict(StrEnum):
    """What a graph proves."""

    APART = "apart"  # proved, for these shapes, constants and this path through the program
    MEET = "meet"  # elements meet in an operator that computes with them
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Proof:
    """What follows from a graph.

    Attributes:
        verdict: the word.
        node: the first operator in which they meet, or that leaves it open; None if there is none.
        why: the reason, in words.
    """

    verdict: Verdict
    node: Node | None = None
    why: str = ""


def samples_apart(graph: Graph, axes: Sequence[int | None]) -> Proof:
    """Whether each sample's output depends on that sample alone.

    An output that has no axis as long as there are samples, such as a loss, is left out, if others
    have one. What is proved holds for every input of these shapes.

    Args:
        graph: of one mode of a model.
        axes: of each input, the axis of the samples; None for an input without samples.
    """
    return _Question(graph, axes, "sample", Samples, _own).answer()


def causal(graph: Graph, axes: Sequence[int | None]) -> Proof:
    """Whether no step of an output depends on a later step of an input.

    The steps of an output are along the same axis as those of the input, or else along another one
    that is as long.

    Args:
        graph: of one mode of a model.
        axes: of each input, the axis of time; None for an input that is there from the beginning.
    """
    return _Question(graph, axes, "step", Steps, _earlier).answer()


def _own(owners: Ints, axis: int) -> bool:
    """Whether each index along an axis is its own alone."""
    index = _indices(owners, axis)
    return bool(((owners == NOBODY) | (owners == index)).all()) if index is not None else False


def _earlier(owners: Ints, axis: int) -> bool:
    """Whether no index along an axis is of a later one."""
    index = _indices(owners, axis)
    return bool((owners <= index).all()) if index is not None else bool((owners <= 0).all())


def _indices(owners: Ints, axis: int) -> Ints | None:
    """Their own index for each; None where all are the same."""
    size = owners.shape[axis]
    return None if size == 1 else numbered(owners.ndim, axis, size)


class _Question:
    """One question about one graph.

    Attributes:
        what: is asked about: "sample" or "step".
        count: how many of them the inputs hold.
    """

    def __init__(
        self,
        graph: Graph,
        axes: Sequence[int | None],
        what: str,
        lattice: Callable[[int], Lattice],
        fits: Callable[[Ints, int], bool],
    ) -> None:
        self.graph = graph
        self.axes = axes
        self.what = what
        self.lattice = lattice
        self.fits = fits
        sizes = {
            value.shape[axis]: None
            for value, axis in zip(graph.inputs, axes, strict=True)
            if axis is not None
        }
        self.counts = [size for size in sizes if size > 1]
        self.count = max(self.counts, default=0)

    def answer(self) -> Proof:
        """The proof."""
        if self.graph.blind:
            return Proof(Verdict.UNKNOWN, None, self.graph.blind)
        if len(self.counts) != 1:
            held = " and ".join(counted(n, self.what) for n in sorted(self.counts))
            reason = f"inputs hold {held}" if held else f"no input holds two {self.what}s"
            return Proof(Verdict.UNKNOWN, None, reason)
        inputs = owners_of_inputs(self.graph, self.axes, self.count)
        self.owners = Owners(self.graph, self.lattice(self.count), inputs)
        return self._outputs() or self._hosts() or self._apart()

    # --- outputs ----------------------------------------------------------------------------------

    def _outputs(self) -> Proof | None:
        """What they leave open; None if nothing."""
        bad: list[Value] = []
        elsewhere: list[str] = []
        good = False
        self.left_out: list[str] = []
        for number, value in enumerate(self.graph.outputs):
            owners = self.owners.of(value)
            if (owners == NOBODY).all():
                continue
            long = [axis for axis, size in enumerate(value.shape) if size == self.count]
            fitting = [axis for axis in long if self.fits(owners, axis)]
            usual = (0, *self.axes) if self.what == "sample" else self.axes
            meant = [axis for axis in usual if axis in long]
            named = self._named(number)
            if not long:
                self.left_out.append(named)
            elif set(fitting) & set(meant) or (fitting and not meant):
                good = True
            elif fitting:
                elsewhere.append(
                    f"the {self.what}s run along axis {fitting[0]} of {named}, but axis {meant[0]} "
                    "is as long and may be meant"
                )
            else:
                bad.append(value)
        if bad:
            return self._blamed(bad)
        if elsewhere:
            return Proof(Verdict.UNKNOWN, None, elsewhere[0])
        if good:
            return None
        if self.left_out:
            held = counted(self.count, self.what)
            return Proof(Verdict.UNKNOWN, None, f"{self.left_out[0]} has no axis of the {held}")
        return Proof(Verdict.UNKNOWN, None, "no output depends on them")

    def _named(self, number: int) -> str:
        names = self.graph.output_names
        return names[number] if number < len(names) else f"output {number}"

    def _hosts(self) -> Proof | None:
        for node in self.owners.hosts:
            why = (
                f"the program reads numbers that depend on the {self.what}s ({node.operator}), so "
                "other numbers may take another path"
            )
            return Proof(Verdict.UNKNOWN, node, why)
        return None

    def _apart(self) -> Proof:
        why = "for all numbers in inputs of these shapes, with these constants and on this path"
        if self.owners.masked:
            why += "; numbers are finite, and before a mask below 1e8"
        if self.left_out:
            why += f"; left out: {', '.join(self.left_out)}, without an axis of {self.what}s"
        return Proof(Verdict.APART, None, why)

    # --- blame ------------------------------------------------------------------------------------

    def _fine(self, value: Value) -> bool:
        """Whether nothing has met in a value, as far as can be told without its meaning."""
        owners = self.owners.of(value)
        if self.what == "sample":
            return not (owners == self.count).any()
        if (owners == NOBODY).all():
            return True
        long = [axis for axis, size in enumerate(value.shape) if size == self.count]
        return any(self.fits(owners, axis) for axis in long)

    def _blamed(self, bad: Sequence[Value]) -> Proof:
        """The first operator after which something has met that reaches these outputs."""
        blamed: dict[Node, list[Value]] = {}
        stack, known = [v for v in bad if not self._fine(v)], set(bad)
        while stack:
            value = stack.pop()
            node = value.node
            if node is None:
                continue
            before = [value for value in node.live_operands if not self._fine(value)]
            if not before:
                blamed.setdefault(node, []).append(value)
            stack += [value for value in before if value not in known]
            known.update(before)
        if not blamed:
            return self._exchanged(bad)
        found = [(n, self.owners.inner.get(n, n)) for n in sorted(blamed, key=lambda n: n.number)]
        reasons = [self._reason(outer, inner, blamed[outer]) for outer, inner in found]
        for (_, node), reason in zip(found, reasons, strict=True):
            if not reason:
                return Proof(Verdict.MEET, node, f"{self._met()} in {node.called}")
        return Proof(Verdict.UNKNOWN, found[0][1], reasons[0])

    def _reason(self, outer: Node, inner: Node, reached: Sequence[Value]) -> str:
        """Why it is not known whether something meets in an operator; "" if it does.

        Args:
            outer: the operator.
            inner: the operator inside of it, where it runs a graph; else the same.
            reached: its results in which something has met.
        """
        reason = self.owners.reasons.get(inner) or self.owners.reasons.get(outer)
        if reason:
            return reason
        values = inner.results if inner is not outer else reached
        if values and not any(v.is_float or "complex" in v.dtype for v in values):
            return f"{self._met()} in an order, a count or another whole number only"
        return ""

    def _met(self) -> str:
        return "samples meet" if self.what == "sample" else "a step sees a later one"

    def _exchanged(self, bad: Sequence[Value]) -> Proof:
        """Nothing has met, but a sample has come to the place of another."""
        stack, known, found = list(bad), set(bad), []
        while stack:
            node = stack.pop().node
            if node is None:
                continue
            before = [value for value in node.live_operands if value not in known]
            if self._places(node.results) is False and self._places(node.live_operands):
                found.append(node)
            stack += before
            known.update(before)
        first = min(found, key=lambda node: node.number, default=None)
        what = "a sample comes to the place of another"
        return Proof(Verdict.MEET, first, what if first is None else f"{what} in {first.called}")

    def _places(self, values: Sequence[Value]) -> bool | None:
        """Whether all are at their places; None if there is no axis of places."""
        found = []
        for value in values:
            owners = self.owners.of(value)
            long = [axis for axis, size in enumerate(value.shape) if size == self.count]
            if long and not (owners == NOBODY).all():
                found.append(any(self.fits(owners, axis) for axis in long))
        return all(found) if found else None
