"""`Live`: a layer or model of any framework, as `identify` and `scope` call it.

Each framework has a subclass in its folder, which the registry finds. A subclass says how the model
is called in a mode, which arrays it holds, how it is left as it was found, and, where the framework
allows it, what its submodules are given and give.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np

from normscope.frameworks.arrays import like, to_numpy
from normscope.frameworks.inputs import Inputs, passing
from normscope.frameworks.randomness import Randomness
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.state import State
from normscope.frameworks.trees import Array, first_array
from normscope.graph.operators import Graph, OutOfSightError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of a call, by position and by name."""

FirstCall = Callable[["Live"], Arguments]
"""Gives the arguments of a first call, in the form that this model takes."""


class Live:
    """A layer or model, ready to be called; the base class is one that nothing is known of.

    Attributes:
        title: the layer in words, by its class.
        model_title: the model in words, by its own name where it has one.
        kind: its class.
        function: what is called, for its signature; None if that tells nothing.
        modes: the values of `training` that may make a difference; one mode only is (False,).
        dtype: the dtype of the numbers that it computes in.
        eps: the machine epsilon of that dtype; half precisions have no NumPy name of their own.
        learned: the names of those arrays that are learned parameters; the others are state.
        constants: of the state, the names of what no call ever changes.
        notes: what the reader of a report should know about how it was called.
        opaque: why nothing is seen of its submodules; "" if something is.
        problem: what a first call raised, where one was needed.
    """

    def __init__(
        self,
        title: str,
        kind: str = "",
        function: Callable[..., Any] | None = None,
        *,
        model_title: str = "",
        reserved: tuple[str, ...] = (),
    ) -> None:
        self.title = title
        self.model_title = model_title or title
        self.kind = kind
        self.function = function
        self.modes: tuple[bool, ...] = (False,)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.eps = float(np.finfo(self.dtype).eps)
        self.learned: frozenset[str] = frozenset()
        self.constants: frozenset[str] = frozenset()
        self.notes: list[str] = []
        self.opaque = ""
        self.problem: Exception | None = None
        self._reserved = reserved
        self._states: list[State] = []

    @property
    def declared_modes(self) -> tuple[bool, ...]:
        """Those modes that its own signature tells apart; what is inside may tell more."""
        return self.modes

    def unfit(self) -> str:
        """Why this is not a whole model that can be run, and what to give; "" if it is."""
        return ""

    # --- arguments in, arrays out ---------------------------------------------------------------

    def inputs(self, given: Any) -> Inputs:
        """The inputs, and how they are passed to the model."""
        return Inputs(given, self.function, passing(self.function, given, self._reserved))

    def misfit(self, given: Inputs) -> str:
        """Why the inputs do not fit the model, and what to write; "" if they do."""
        return given.misfit(self.function, self._reserved)

    def leaf(self, original: Any, value: Array) -> Any:
        """New values for an array of the inputs, in the form that the model takes."""
        return like(original, value)

    def tensor(self, x: Array) -> Any:
        """Numbers in the dtype and the form in which the layer takes its input; a copy."""
        return x.astype(self.dtype)

    def fixed(self, value: Any) -> Any:
        """An input that is the same in each call, in the form that the layer takes."""
        return value

    def use_dtype(self, dtype: np.dtype[Any]) -> None:
        """Compute in this dtype, unless the arrays that the layer holds fix another."""

    def take_batch(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Find out how to give it a batch, where the model itself takes one example."""

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode; the state of the model may change."""
        raise NotImplementedError  # each framework says it

    def answer(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Array:
        """The first array of the output, as one of many calls on small inputs."""

        def called() -> Array:
            return to_numpy(first_array(self.call(arguments, named, training)))

        with self.without_gradients():
            return self.repeated(called)

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Within, no gradients are recorded."""
        return nullcontext()

    def repeated(self, call: Callable[[], Array]) -> Array:
        """Make a call that is made often."""
        return call()

    # --- arrays by name -------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters and state arrays, by name."""
        return {}

    def decays(self, optimizer: Any) -> Mapping[str, float] | None:
        """The weight decay of each learned array, by name; None if this optimizer does not tell it.

        Args:
            optimizer: of the framework; None is the one that the model itself holds, if it does.
        """
        return None

    def write(self, name: str, value: Array) -> None:
        """Give an array new values."""
        raise NotImplementedError  # not asked where `arrays` has none, as of a plain function

    # --- as it was found ------------------------------------------------------------------------

    def remember(self, *states: State) -> None:
        """What these states and the random generators are now is what is put back later."""
        self._states = [*states, Randomness()]

    def put_back(self, stream: int | None = 0) -> None:
        """Everything as it was found.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        for state in self._states:
            state.put_back(stream)

    def put_back_attributes(self) -> None:
        """What a call has changed besides the arrays, where it can be reached, as it was found.

        The arrays keep what was written to them, and random generators go on.
        """

    def settle(self) -> None:
        """From here on, what was changed besides the arrays counts as found, until the end."""

    @property
    def may_remember(self) -> bool:
        """Whether a call may have changed something besides the arrays."""
        return False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the model is afterwards as it was before."""
        with ExitStack() as states:
            for state in self._states:
                states.enter_context(state.kept())
            yield

    # --- what happens inside --------------------------------------------------------------------

    def layers(self) -> dict[str, Any]:
        """The layers inside that can be called, by the paths that `trace` gives their calls."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """What else the model says of itself, by the framework's own names, as JSON types."""
        return {}

    def example(self) -> Any:
        """Inputs of the shapes that the model itself tells; None if it tells none."""
        return None

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operator graph of one call in a mode; the state of the model may change.

        Raises:
            OutOfSightError: nothing shows its operators.
            CannotTraceError: there is none; the text says why.
        """
        raise OutOfSightError(f"the operators of {self.title} cannot be seen")

    def may_run_layers_again(self) -> bool:
        """Whether the program speaks of running layers again in the backward pass of a step."""
        return False

    def updates_in_a_step(
        self, given: Inputs, paths: Collection[str]
    ) -> dict[str, tuple[int, int]]:
        """How often a forward and a backward pass update the running statistics of layers.

        The state of the model may change.

        Args:
            given: the inputs.
            paths: of the layers.

        Returns:
            By path, the number of updates, and of different inputs in the forward pass; of those
            layers alone that count their updates.
        """
        return {}

    def watched(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Within, the recorder hears of each submodule that is entered and left."""
        return nullcontext()
