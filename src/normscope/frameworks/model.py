"""`Model`: what the core needs of a model of any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from normscope.frameworks.arrays import like
from normscope.frameworks.inputs import Inputs, passing
from normscope.frameworks.layer import Array
from normscope.frameworks.randomness import Randomness
from normscope.frameworks.state import State
from normscope.frameworks.steps import Recorder


class Model:
    """A model under examination; the base class calls and restores, but cannot look inside.

    Attributes:
        title: the model in words.
        kind: its class.
        modes: the values of `training` that make a difference; one mode only is (False,).
        states: what is put back.
        opaque: why nothing is seen of its submodules; "" if something is.
        notes: what the reader of the report should know about how the model was called.
    """

    def __init__(
        self,
        title: str,
        kind: str,
        modes: tuple[bool, ...],
        states: list[State],
        function: Callable[..., Any],
        reserved: tuple[str, ...] = (),
    ) -> None:
        self.title = title
        self.kind = kind
        self.modes = modes
        self.states = [*states, Randomness()]
        self.opaque = ""
        self.notes: list[str] = []
        self._function = function
        self._reserved = reserved

    def inputs(self, given: Any) -> Inputs:
        """The inputs, and how they are passed to the model."""
        return Inputs(given, self._function, passing(self._function, given, self._reserved))

    def misfit(self, given: Inputs) -> str:
        """Why the inputs do not fit the model, and what to write; "" if they do."""
        return given.misfit(self._function, self._reserved)

    def leaf(self, original: Any, value: Array) -> Any:
        """New values for an array of the inputs, in the form that the model takes."""
        return like(original, value)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call; the model's state may change."""
        raise NotImplementedError

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Within, the recorder hears of each submodule that is entered and left."""
        yield

    def put_back(self, stream: int | None = 0) -> None:
        """Everything as it was found; the random generators too, unless told otherwise."""
        for state in self.states:
            state.put_back(stream)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the model is afterwards as it was before."""
        with ExitStack() as states:
            for state in self.states:
                states.enter_context(state.kept())
            yield
