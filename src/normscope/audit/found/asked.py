"""What is asked about a site: the live layer where it is exactly the site, else its operators."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from normscope.audit.found.matching import Matched, Placed
from normscope.audit.found.site_live import SiteLive
from normscope.frameworks.declaration import Declaration
from normscope.graph.extract import Extracted
from normscope.graph.operators import Call, Node
from normscope.graph.rules import Fixed
from normscope.graph.sites import Form
from normscope.graph.statistics_flow import before_moves, is_shape
from normscope.identify.evidence import declared_by
from normscope.identify.subject.one_input import OneInput, one_input
from normscope.notation.axis_roles import axis_names

MOST_ELEMENTS = 2**17
"""Of an input that is asked many times; of a larger one only what is supposed is checked."""

_LARGEST = 2.0**13
"""Of the numbers of an array, that hides nothing: float32 has ten more bits."""

Shape = tuple[int, ...]


@dataclass(eq=False)
class Asked:
    """A site as something that can be called.

    Attributes:
        layer: the live layer, or a `SiteLive`.
        own: it is the layer.
        full: the shape of x, in the model.
        dtype: of x.
        key: alike sites have the same.
        one_mode: both modes run the same operators.
    """

    layer: Any
    own: bool
    full: Shape
    dtype: str
    key: Hashable
    one_mode: bool

    @cached_property
    def adapter(self) -> OneInput:
        """It, as `identify` calls it."""
        return one_input(self.layer, self.full, (), None, _numpy_dtype(self.dtype))

    @cached_property
    def fixed(self) -> frozenset[int]:
        """The axes whose lengths its arrays, or what it declares, fix."""
        told = _fixed(self.adapter, self.full)
        if self.declared is None or self.declared.train.pattern is None:
            return told
        layout = self.declared.train.layout([None] * len(self.full))
        known = (all(p.size is not None for p in layout.parts(n)) for n in range(len(self.full)))
        return told | {axis for axis, is_known in enumerate(known) if is_known}

    @cached_property
    def declared(self) -> Declaration | None:
        """What the settings of the layer declare, with the names of the axes that are used here."""
        return declared_by(self.layer, " ".join(axis_names(self.full, None))) if self.own else None

    def told_by(self, other: Asked) -> None:
        """Take from an alike one what is the same, as asking for it anew takes time."""
        self.fixed = other.fixed
        declared = other.declared
        if declared is None or not declared.train.sizes:
            self.declared = declared

    @contextmanager
    def ordinary(self, positive: bool = False) -> Iterator[Asked]:
        """Within, it as it is without numbers that hide what it does; it itself is as it was.

        NaN and infinite numbers hide everything, and beside very large ones the rest is rounded
        away; such arrays hold ordinary numbers meanwhile.

        Args:
            positive: whether numbers below 0 count among those, as they do in a variance.
        """
        least = 0.0 if positive else -_LARGEST
        strange = {
            name: array
            for name, array in self.adapter.arrays().items()
            if array.dtype.kind == "f" and not np.all((array >= least) & (array <= _LARGEST))
        }
        if not strange:
            yield self
            return
        rng = np.random.default_rng(0)
        with self.adapter.kept():
            try:
                for name, array in strange.items():
                    self.adapter.write(name, rng.uniform(0.5, 1.5, array.shape))
                yield replace(self)
            finally:
                for name, array in strange.items():
                    self.adapter.write(name, array)

    def shapes(self) -> Iterator[Shape]:
        """Shapes to ask it with, small ones first; the last is that of the model."""
        everything = frozenset(range(len(self.full)))
        tried: dict[Shape, None] = {}
        for kept in (
            self.fixed,
            *(self.fixed | {axis} for axis in sorted(everything - self.fixed, reverse=True)),
            everything - {0},
        ):
            tried[_shrunk(self.full, kept, grows=self.own)] = None
        tried[self.full] = None
        yield from tried

    def takes(self, shape: Shape) -> bool:
        """Whether it gives finite numbers of the same shape."""
        x = np.random.default_rng(0).standard_normal(shape)
        try:
            with self.adapter.kept(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                y = self.adapter.call(self.adapter.received(x), self.adapter.modes[0])
        except Exception:  # a layer may refuse a shape by any exception
            return False
        return y.shape == shape and bool(np.isfinite(np.asarray(y, np.float64)).all())


def asked(pair: Matched) -> Asked:
    """How to ask a site: its live layer, where that does nothing else that mixes elements."""
    first = pair.first
    site = first.site
    if site.call.layer is not None and all(_is_whole(p) for p in pair.by_mode.values()):
        try:
            return _asked(pair, site.call.layer, own=True)
        except Exception:  # a layer may be of a kind that cannot be called apart from its model
            pass
    return operators_of(pair)


def operators_of(pair: Matched) -> Asked:
    """The operators of a site, as something that can be called."""
    first = pair.first
    functions = {
        mode: Extracted(placed.graph, placed.site, placed.given)
        for mode, placed in pair.by_mode.items()
    }
    state = _stored_names(pair, functions)
    title = f"{first.site.operator} in {first.site.path or 'the model'}"
    live = SiteLive(title, first.graph, functions, first.site.x.dtype, state)
    return _asked(pair, live, own=False)


def _stored_names(pair: Matched, functions: Mapping[bool, Extracted]) -> frozenset[str]:
    """The arrays that may hold statistics: those used only where none are taken."""
    stored, others = set[str](), set[str]()
    for mode, placed in pair.by_mode.items():
        (stored if takes_no_statistics(placed) else others).update(functions[mode].names())
    return frozenset(stored - others) or frozenset(stored)


def takes_no_statistics(placed: Placed) -> bool:
    """Whether it applies what is stored, so that it sees no further than each element."""
    site = placed.site
    if site.form is not Form.COMPOSITE:
        return site.form is Form.STORED
    rule = site.statistics[0].rule
    dims = getattr(rule, "operands", {}).get(0, (None,))
    return None not in dims


def _asked(pair: Matched, layer: Any, own: bool) -> Asked:
    site = pair.first.site
    full = site.x.shape
    one_mode = not own and len({_computation(placed) for placed in pair.by_mode.values()}) == 1
    found = Asked(layer, own, full, site.x.dtype, None, one_mode)
    found.key = (
        own,
        _settings(layer, full) if own else "",
        len(full),
        site.x.dtype,
        tuple(
            (_last_word(name) if own else "", _relative(array.shape, full))
            for name, array in found.adapter.arrays().items()
        ),
        tuple((mode, _operators(p)) for mode, p in sorted(pair.by_mode.items())),
    )
    return found


def _computation(placed: Placed) -> Hashable:
    """The operators of a site with what they do."""
    return tuple(
        (node.operator, "moves" if node.moves else repr(node.rule)) for node in placed.site.nodes
    )


def _operators(placed: Placed) -> tuple[str, ...]:
    return tuple(node.operator for node in placed.site.nodes)


def _settings(layer: Any, full: Shape) -> Hashable:
    """The class of a layer and its plain attributes, with lengths of x in the place of numbers."""
    plain = []
    for name, value in sorted(getattr(layer, "__dict__", {}).items()):
        whole = value if isinstance(value, tuple | list) else (value,)
        called = name.strip("_")
        if called in ("training", "name", "path") or not all(_is_plain(v) for v in whole):
            continue
        plain.append((called, _relative(whole, full)))
    return type(layer).__module__, type(layer).__qualname__, tuple(plain)


def _last_word(name: str) -> str:
    return re.split(r"\W+", name.rstrip("'])"))[-1]


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _relative(values: Any, full: Shape) -> tuple[Any, ...]:
    """Values, but those that are a length of x by the number of that axis."""
    return tuple(
        f"axis {full.index(v)}" if type(v) is int and v > 1 and v in full else repr(v)
        for v in values
    )


def _fixed(adapter: OneInput, full: Shape) -> frozenset[int]:
    lengths = {n for array in adapter.arrays().values() for n in array.shape if n > 1}
    lengths |= {array.size for array in adapter.arrays().values() if array.size > 1}
    fixed = {axis for axis, length in enumerate(full) if length in lengths}
    if len(fixed) > 1 and 0 in fixed and len({full[axis] for axis in fixed}) == 1:
        fixed.remove(0)  # the batch is as long as there are channels, by chance
    return frozenset(fixed)


def _shrunk(full: Shape, kept: frozenset[int], grows: bool) -> Shape:
    """A shape with other axes short; those of length 1 get longer where they may."""
    held = math.prod(full[axis] for axis in kept)
    small = iter((4, 2, 3, 2, 3, 2, 2) if held > 256 else (4, 5, 6, 3, 2, 2, 2))
    return tuple(
        length if axis in kept else next(small, 2) if grows else min(length, next(small, 2))
        for axis, length in enumerate(full)
    )


def _numpy_dtype(dtype: str) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtype == "float64" else np.float32)


def _is_whole(placed: Placed) -> bool:
    """Whether a call takes x alone and gives y, or what follows from y element by element."""
    site, call = placed.site, placed.site.call
    inputs = [value for value in call.inputs if value.is_float]
    if len(call.inputs) != len(inputs) or len(inputs) != 1 or len(call.outputs) != 1:
        return False
    if call.outputs[0].shape != inputs[0].shape or inputs[0].shape != site.x.shape:
        return False
    if before_moves(inputs[0]) is not before_moves(site.x):
        return False
    mine = set(site.nodes)
    return all(
        node in mine
        or not node.live
        or node.role.elementwise
        or is_shape(node)
        or isinstance(node.rule, Fixed)
        for node in _nodes_of(placed, call)
    )


def _nodes_of(placed: Placed, call: Call) -> list[Node]:
    """The operators of a call, those of calls inside too, found from its outputs."""
    (start,) = placed.site.call.inputs[:1]
    found: dict[Node, None] = {}
    todo = list(call.outputs)
    first = -1 if start.node is None else start.node.number
    while todo:
        node = todo.pop().node
        if node is None or node in found or not node.live or node.number <= first:
            continue
        found[node] = None
        todo += node.operands
    return list(found)
