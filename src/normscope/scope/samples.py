"""The verdict over all inputs and outputs: do samples see each other?"""

from __future__ import annotations

from dataclasses import dataclass

from normscope.sight.dependence import AxisDependence, Dependence
from normscope.wording import counted


@dataclass(frozen=True)
class Coupling:
    """A sample that sees another one, of an input."""

    input: str
    seeing: int
    seen: int


@dataclass(frozen=True)
class Verdict:
    """An answer: are samples independent? None if that is unknown, for the reasons in `notes`."""

    independent: bool | None
    coupling: Coupling | None = None
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(dependences: tuple[Dependence, ...], sample_axes: dict[str, int]) -> Verdict:
        """The verdict.

        Args:
            dependences: of each output on each input.
            sample_axes: the axis of the samples in each input.
        """
        couplings: list[Coupling] = []
        reasons: dict[str, None] = {}  # each once, in order
        ambiguous: dict[str, None] = {}
        known = False
        for pair in dependences:
            number = sample_axes[pair.input]
            axis = pair.along(number)
            if _is_ambiguous(pair, axis, number):
                ambiguous[
                    f"the {counted(axis.size, 'sample')} of {pair.input} run along axis "
                    f"{axis.output_axis} of {pair.output}, whose axis 0 has "
                    f"{counted(axis.size, 'index')} too: either may be that of the samples"
                ] = None
                continue
            reason = _unknown(pair, axis, number)
            if reason:
                reasons[reason] = None
                continue
            known = True
            couplings += [
                Coupling(pair.input, seeing, seen)
                for seen, indices in axis.seen
                for seeing in indices
                if seeing != seen
            ]
        if couplings:
            return Verdict(False, min(couplings, key=lambda c: (c.seeing, c.seen)))
        if known and not ambiguous:
            return Verdict(True)
        return Verdict(None, notes=tuple(ambiguous or reasons) or (_NOTHING_VARIED,))


_NOTHING_VARIED = "no input could be given other values"


def _is_ambiguous(pair: Dependence, axis: AxisDependence, number: int) -> bool:
    """True if, as in a table of similarities, two axes of the output may be that of the samples."""
    elsewhere = axis.output_axis is not None and axis.output_axis not in (0, number)
    return elsewhere and axis.size > 1 and axis.size == axis.output_size == pair.output_shape[0]


def one_sample(name: str) -> str:
    """Advice on an input of one sample."""
    return f"{name} holds one sample only: give at least two"


def _unknown(pair: Dependence, axis: AxisDependence, number: int) -> str:
    """Why this pair does not tell whether samples see each other; "" if it does."""
    if axis.size < 2:
        return one_sample(pair.input)
    if axis.word == "none":
        return f"{pair.output} does not change with {pair.input}"
    if axis.output_axis not in (0, number) or axis.size != axis.output_size:
        return f"{pair.output} has no axis of the {counted(axis.size, 'sample')} of {pair.input}"
    return ""
