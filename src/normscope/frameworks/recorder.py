"""`Recorder`: what went into and came out of each submodule during one call of the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from normscope.frameworks.arrays import Values, all_values


@dataclass(frozen=True)
class Call:
    """One call of one submodule.

    Attributes:
        path: to the submodule; "" is the model itself.
        kind: its class.
        number: 1 at the first call in a run, 2 where the submodule is used again, ...
    """

    path: str
    kind: str
    number: int


@dataclass(frozen=True)
class Step:
    """A submodule was entered or left.

    Attributes:
        call: of the submodule.
        entered: it was entered, and `values` are its arguments; else left, with its outputs.
        inside: the call that this one was made in; None for the model itself.
        previous: the last call that had ended in the same one before this step, if there is one.
        values: the arrays.
    """

    call: Call
    entered: bool
    inside: Call | None
    previous: Call | None
    values: tuple[Values, ...] = field(repr=False)

    @property
    def place(self) -> tuple[Call, bool]:
        """What tells the step in other runs of the same model."""
        return self.call, self.entered


class Recorder:
    """Collects the steps of one run; whoever watches submodules calls `enter` and `leave`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._open: list[tuple[Call, list[Call]]] = []  # with the calls that ended inside
        self._numbers: Counter[str] = Counter()

    def enter(self, path: str, kind: str, arguments: Any) -> None:
        """A submodule is about to run."""
        self._numbers[path] += 1
        call = Call(path, kind, self._numbers[path])
        inside, ended = self._open[-1] if self._open else (None, [])
        self._note(call, True, inside, ended, arguments)
        self._open.append((call, []))

    def leave(self, outputs: Any) -> None:
        """The submodule that was entered last has run."""
        call, ended = self._open.pop()
        inside = self._open[-1][0] if self._open else None
        self._note(call, False, inside, ended, outputs)
        if self._open:
            self._open[-1][1].append(call)

    def _note(
        self, call: Call, entered: bool, inside: Call | None, ended: list[Call], values: Any
    ) -> None:
        previous = ended[-1] if ended else None
        arrays = tuple(all_values(values, "").values())
        self.steps.append(Step(call, entered, inside, previous, arrays))
