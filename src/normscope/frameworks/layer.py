"""What every adapter gives the core: a call in a mode, and arrays by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.wording import qualified

Array = NDArray[Any]

MODE_KEYWORDS = {
    "training": False,
    "train": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
    "inference": True,
    "is_eval": True,
}
"""Keywords by which a callable is told its mode; True: the keyword says inference."""


class Adapter:
    """A layer as the core sees it; the base class is a callable without parameters and state.

    Attributes:
        title: the layer in words, for the report.
        modes: the values of `training` that make a difference; one mode only is (False,).
        learned: the names of those arrays that are learned parameters; the others are state.
        constants: of the state, the names of what no call ever changes.
        dtype: the dtype of the numbers that the layer computes in.
        eps: the machine epsilon of that dtype; half precisions have no NumPy name of their own.
        notes: what the reader of the report should know about how the layer was called.
    """

    def __init__(self, title: str, dtype: np.dtype[Any], modes: tuple[bool, ...]) -> None:
        self.title = title
        self.dtype = dtype
        self.modes = modes
        self.learned: frozenset[str] = frozenset()
        self.constants: frozenset[str] = frozenset()
        self.eps = float(np.finfo(dtype).eps)
        self.notes: list[str] = []

    def received(self, x: Array) -> Array:
        """`x` after rounding to the layer's dtype, as a NumPy array."""
        return x.astype(self.dtype)

    def call(self, x: Array, training: bool) -> Array:
        """One call of the layer; its state may change."""
        raise NotImplementedError  # each framework says it

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters and state arrays, by name."""
        return {}

    def write(self, name: str, value: Array) -> None:
        """Give an array new values."""
        raise NotImplementedError  # not asked where `arrays` has none, as of a plain function

    def put_back(self) -> None:
        """Put back what a call has changed besides the arrays, as far as that can be reached."""

    def settle(self) -> None:
        """From here on, what was changed besides the arrays counts as found, until the end."""

    @property
    def may_remember(self) -> bool:
        """Whether a call may have changed something besides the arrays."""
        return False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, the layer is afterwards as it was before."""
        yield


def mode_keyword(function: Callable[..., Any]) -> str | None:
    """The keyword by which a callable is told its mode, if it has one.

    >>> mode_keyword(lambda x, training=False: x)
    'training'
    """
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin does not say what it takes
        return None
    return next((name for name in MODE_KEYWORDS if name in names), None)


def mode_argument(keyword: str | None, training: bool) -> dict[str, bool]:
    """The keyword argument that says the mode.

    >>> mode_argument("deterministic", training=True)
    {'deterministic': False}
    """
    return {} if keyword is None else {keyword: training != MODE_KEYWORDS[keyword]}


def first_array(output: Any) -> Any:
    """The output itself, or the first of several."""
    while isinstance(output, tuple | list | Mapping) and len(output) > 0:
        output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
    return output


def class_title(layer: object) -> str:
    """`module.Class` without private parts: what a user would write.

    >>> class_title(np.random.default_rng(0))
    'numpy.random.Generator'
    """
    kind = type(layer)
    parts = [part for part in kind.__module__.split(".") if part not in ("src", "modules")]
    public = [part for part in parts if not part.startswith("_")]
    return ".".join([*public[:2], qualified(kind.__qualname__)])
