"""`Probe`: a site of a model that can be run again, on numbers that a rule chooses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a file of layers is read without what follows operators
    from normscope.graph.extract import Extracted
    from normscope.graph.operators import Graph


class Probe:
    """The operators of one site, run in the dtypes of the model; the model keeps its arrays.

    Scale, bias and stored statistics are those of the model.

    Args:
        graph: one of the graphs of the site, for its arrays.
        modes: in which the site is there; True is training.
        extracted: gives the site in one of them, as a function.
        dtype: of what is normalized, such as "float16".

    Example:
        `site.probe(np.zeros(site.input_shape))` is what the site makes of zeros at inference.
    """

    def __init__(
        self,
        graph: Graph,
        modes: tuple[bool, ...],
        extracted: Callable[[bool], Extracted],
        dtype: str,
    ) -> None:
        self._arrays = graph.arrays
        self._extracted = extracted
        self.modes = modes
        self.dtype = dtype

    @cached_property
    def _functions(self) -> dict[bool, Extracted]:
        return {mode: self._extracted(mode) for mode in self.modes}

    def __call__(self, x: NDArray[Any], training: bool = False) -> NDArray[np.float64] | None:
        """What the site makes of x, in a mode or in the one that there is; None if it cannot run.

        Args:
            x: numbers, rounded to the dtype of the model; of the shape of the model, or where the
                operators allow it of another.
            training: the mode.
        """
        try:
            function = self._functions.get(training) or next(iter(self._functions.values()))
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                y = function(self._arrays.from_numpy(np.asarray(x), self.dtype))
                return np.array(self._arrays.to_numpy(y), np.float64)
        except Exception:  # it cannot be replayed, or an operator refuses a shape, by any exception
            return None

    def received(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """The numbers that the site gets in the place of x: rounded to its dtype."""
        rounded = self._arrays.from_numpy(np.asarray(x), self.dtype)
        return np.array(self._arrays.to_numpy(rounded), np.float64)
