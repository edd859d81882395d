"""`Probe`: a site of a model that can be run again, on numbers that a rule chooses."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Role

if TYPE_CHECKING:  # a file of layers is read without what follows operators
    from normscope.graph.extract import Extracted
    from normscope.graph.operators import Graph

Shape = tuple[int, ...]
T = TypeVar("T")

MOST_ELEMENTS = 2**22
"""Of numbers that a rule lets a site make something of; a larger site is not measured."""

_POSITIONS = 8
_SAMPLES = 2


@dataclass(frozen=True)
class Operator:
    """One operator of a site.

    Attributes:
        name: its native name.
        role: what it means for a normalization.
        dtype: of what it makes.
        takes: the dtypes of the floating-point numbers it takes.
        source: the line of the program, "file.py:12"; "" if it is not known.
    """

    name: str
    role: Role
    dtype: str
    takes: tuple[str, ...] = ()
    source: str = ""


class Probe:
    """The operators of one site, run in the dtypes of the model; the model keeps its arrays.

    Args:
        graph: one of the graphs of the site, for its arrays.
        modes: in which the site is there; True is training.
        extracted: gives the site in one of them, as a function.
        dtype: of what is normalized, such as "float16".
        shape: of what is normalized.
        operators: of the site, in the first of its modes, in order.
        neutral: what to write into learned arrays so that they do nothing, by path.
        sample_axes: along which samples lie that the site keeps apart.
        likeness: sites of one model with the same likeness compute the same, but for learned
            numbers; None of a site that is like no other.
        answers: what alike sites of the model were measured to do; filled by `once`.

    Example:
        `site.probe(np.zeros(site.input_shape))` is what the site makes of zeros at inference.
    """

    def __init__(
        self,
        graph: Graph,
        modes: tuple[bool, ...],
        extracted: Callable[[bool], Extracted],
        dtype: str,
        *,
        shape: Shape = (),
        operators: tuple[Operator, ...] = (),
        neutral: Mapping[str, float] | None = None,
        sample_axes: tuple[int, ...] = (),
        likeness: Hashable = None,
        answers: dict[Hashable, Any] | None = None,
    ) -> None:
        self._arrays = graph.arrays
        self._extracted = extracted
        self._neutral = dict(neutral or {})
        self._sample_axes = sample_axes
        self._likeness = likeness
        self._answers = {} if answers is None else answers
        self.modes = modes
        self.dtype = dtype
        self.shape = shape
        self.operators = operators

    @cached_property
    def _functions(self) -> dict[bool, Extracted]:
        return {mode: self._extracted(mode) for mode in self.modes}

    @cached_property
    def _bare(self) -> dict[bool, Extracted]:
        """The functions with learned arrays that do nothing."""
        functions = {mode: self._extracted(mode) for mode in self.modes}
        for function in functions.values():
            for name, array in function.arrays().items():
                if name in self._neutral:
                    function.write(name, np.full_like(array, self._neutral[name]))
        return functions

    def __call__(self, x: NDArray[Any], training: bool = False) -> NDArray[np.float64] | None:
        """What the site makes of x, with its own learned numbers; None if it cannot run.

        Args:
            x: numbers, rounded to the dtype of the model; of the shape of the model, or where the
                operators allow it of another.
            training: the mode; where the site is there in one mode alone, it is that one.
        """
        return self._run(lambda: self._functions, x, training)

    def bare(self, x: NDArray[Any], training: bool = False) -> NDArray[np.float64] | None:
        """What the site makes of x with a scale of 1 and a bias of 0, as far as these are known.

        A scale that begins at zero would hide what comes before it.
        """
        return self._run(lambda: self._bare, x, training)

    def _run(
        self, functions: Callable[[], dict[bool, Extracted]], x: NDArray[Any], training: bool
    ) -> NDArray[np.float64] | None:
        try:
            of_mode = functions()
            function = of_mode.get(training) or next(iter(of_mode.values()))
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

    def stored(self) -> dict[str, NDArray[Any]]:
        """The arrays of the model that the site uses, by path; none where they cannot be read."""
        try:
            return {
                name: array
                for one in self._functions.values()
                for name, array in one.arrays().items()
            }
        except Exception:  # its arrays may be refused by any exception
            return {}

    def once(self, measure: Callable[..., T], *given: Hashable) -> T:
        """What is measured at the site; of alike sites of a model it is measured at one.

        Args:
            measure: a function of a module, as it stands for what it measures: `measure(probe,
                *given)`. It uses `bare` where the learned numbers matter to it.
            given: more arguments.
        """
        key = (self if self._likeness is None else self._likeness, measure, given)
        if key not in self._answers:
            self._answers[key] = measure(self, *given)
        found: T = self._answers[key]
        return found

    @cached_property
    def few_samples(self) -> Shape | None:
        """A shape with the statistics sets of the model, but few of them; None if it is too large.

        Samples that the site keeps apart are two.
        """
        cut = dict.fromkeys(self._sample_axes, _SAMPLES)
        return self._first_taken([self._with(cut)])

    @cached_property
    def small(self) -> Shape | None:
        """A shape with short axes, where it has no learned numbers along them; None as above."""
        fixed = {n for a in self.stored().values() for n in (*a.shape, a.size) if n > 1}
        samples = dict.fromkeys(self._sample_axes, _SAMPLES)
        positions = {
            axis: _POSITIONS
            for axis, length in enumerate(self.shape)
            if length not in fixed and axis not in samples
        }
        both = positions | samples
        return self._first_taken([self._with(both), self._with(samples)])

    def _with(self, lengths: Mapping[int, int]) -> Shape:
        """The shape of the model, with some axes at most this long."""
        return tuple(min(n, lengths.get(axis, n)) for axis, n in enumerate(self.shape))

    def _first_taken(self, shapes: list[Shape]) -> Shape | None:
        """The first shape that the site can be run with; that of the model comes last."""
        for shape in dict.fromkeys([*shapes, self.shape]):
            if math.prod(shape) > MOST_ELEMENTS:
                continue
            y = self.bare(np.random.default_rng(0).standard_normal(shape), training=True)
            if y is not None and y.shape == shape:
                return shape
        return None

    @property
    def narrow(self) -> Iterator[Operator]:
        """Those of its operators that compute in half precision; casts are none of them."""
        for one in self.operators:
            if one.role is not Role.COPY and one.dtype in ("float16", "bfloat16"):
                yield one
