"""What is known of numbers: which are zero for sure, which are so low that a softmax drops them.

A causal mask adds minus infinity, or chooses it, before a softmax; so some weights are exactly
zero, and what is multiplied by them is not seen. Which operator does what is asked of the operator:
it is run on a pattern, in which 0 stands for an ordinary number and minus infinity for a low one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.lattice import Ints, aligned, compact, constant
from normscope.graph.operators import Arrays, Node, Role, Value
from normscope.graph.rules import Labels, Move

Bools = NDArray[np.bool_]
Numbers = NDArray[Any]

LARGE = 1e8
"""Ordinary numbers are smaller; what a mask makes low is not: finite masks are -1e9 or lower."""

_LARGE_HALF = 2e4  # in float16, whose masks are -3e4 or lower

_CODE = 77.0
"""It and the numbers after it stand for operands in a choice."""


class Fact(IntEnum):
    """What is known of a number."""

    ORDINARY = 0  # finite, and far smaller than `LARGE`
    ZERO = 1
    LOW = 2  # -LARGE or less: what a finite or infinite mask makes of a score
    WILD = 3  # it may be large, of either sign, or no number


@dataclass(frozen=True)
class Known:
    """What is known of a value; both arrays are broadcast to its shape.

    Attributes:
        owners: of its elements.
        facts: of its elements.
    """

    owners: Ints
    facts: Ints

    @property
    def plain(self) -> bool:
        """All numbers are ordinary, as far as is known."""
        return self.facts.size == 1 and self.facts.item() == Fact.ORDINARY

    @property
    def spoiled(self) -> bool:
        """Some are not, or may be not."""
        return bool((self.facts >= Fact.LOW).any())


def facts_of(numbers: Numbers, dtype: str, *, learned: bool) -> Ints:
    """The facts of a constant; zeros that may be learned, as all are, count as ordinary."""
    if _is_ordinary(numbers, dtype):
        return constant(numbers.ndim, Fact.ORDINARY)
    found = np.zeros(numbers.shape, np.int8)  # it is as large as the constant until it is compact
    found[numbers == 0] = Fact.ZERO
    if numbers.dtype.kind in "fc" and numbers.size:
        if learned and not numbers.any():
            found[...] = Fact.ORDINARY
        with np.errstate(invalid="ignore"):
            large = _large(dtype)
            found[~(abs(numbers) < large)] = Fact.WILD
            if numbers.dtype.kind == "f":
                found[numbers <= -large] = Fact.LOW
    return compact(found).astype(np.int64)


def _is_ordinary(numbers: Numbers, dtype: str) -> bool:
    """Whether none of them is 0, large or not a number, as in most weights."""
    if numbers.dtype.kind != "f" or not numbers.size or not numbers.all():
        return False
    large = _large(dtype)
    return bool(-large < numbers.min() and numbers.max() < large)


def either(one: Ints, other: Ints) -> Ints:
    """Of an element that is one of two."""
    high = np.maximum(one, other)
    return np.where(one == other, one, np.where(high >= Fact.LOW, Fact.WILD, Fact.ORDINARY))


def either_along(facts: Ints, axis: int) -> Ints:
    """Of an element that is one of all along an axis, which stays with length 1."""
    if facts.shape[axis] == 1:
        return facts
    high, low = facts.max(axis, keepdims=True), facts.min(axis, keepdims=True)
    return either(high, low)


def generic(operands: Sequence[Known], rank: int) -> Ints:
    """Of the result of any operator."""
    spoiled = any(known.spoiled for known in operands)
    return constant(rank, Fact.WILD if spoiled else Fact.ORDINARY)


@dataclass(frozen=True)
class Effect:
    """What facts do in one operator.

    Attributes:
        facts: of each result.
        unseen: of some operands, the elements that change no result, by number.
        picks: which operand each element of the result is; -1 is none. None if it is not known.
    """

    facts: tuple[Ints, ...]
    unseen: dict[int, Bools]
    picks: Ints | None = None


def effect(
    arrays: Arrays, node: Node, rule: Labels, operands: Sequence[Known], fixed: Sequence[bool]
) -> Effect:
    """What is known of the results, for an operator whose operands are not all plain.

    Args:
        arrays: turns numbers into those that the operator takes.
        node: the operator.
        rule: what it does with its elements.
        operands: what is known of its operands.
        fixed: for each of them, whether all its numbers are known, so that its facts are exact.
    """
    trial = _Trial(arrays, node, rule, operands, fixed)
    ranks = [len(value.shape) for value in node.results]
    otherwise = tuple(generic(operands, rank) for rank in ranks)
    try:
        match node.role:
            case Role.SOFTMAX | Role.EXTREME:
                return trial.along()
            case Role.SELECT:
                return trial.select()
            case Role.COMPARE:
                return Effect(tuple(constant(rank, Fact.ORDINARY) for rank in ranks), {})
        facts = trial.elementwise()
    except Exception:  # an operator may refuse a pattern by any exception: then nothing is known
        return Effect(otherwise, {})
    return Effect(otherwise if facts is None else (facts,) * len(ranks), {})


class _Trial:
    """One operator, to be run on patterns."""

    def __init__(
        self,
        arrays: Arrays,
        node: Node,
        rule: Labels,
        operands: Sequence[Known],
        fixed: Sequence[bool],
    ) -> None:
        self.arrays = arrays
        self.node = node
        self.rule = rule
        self.operands = operands
        self.fixed = fixed

    def elementwise(self) -> Ints | None:
        """The facts of an elementwise operator; None if they are generic."""
        facts = np.broadcast_arrays(*self._aligned([known.facts for known in self.operands]))
        stack = np.stack(facts)
        zero, spoiled = stack == Fact.ZERO, stack >= Fact.LOW
        wild = (stack == Fact.WILD).any(0)
        found: Ints = facts[0]
        made: Numbers
        match self.node.role:
            case Role.COPY:
                if not self.node.results[0].is_float:
                    found = np.where(found == Fact.LOW, Fact.WILD, found)
                return compact(found)
            case Role.SHIFT | Role.LIMIT:
                made = self._of_numbers(self._run(self._patterns(facts)))
                both = self.node.role is Role.SHIFT and len(facts) > 1
                found = np.where(zero.all(0) & both, Fact.ZERO, made)
            case Role.MULTIPLY:
                # a hidden number may be zero, but as well drawn, as in a dropout
                made = self._run([np.ones(f.shape) for f in facts]) if len(facts) == 1 else zero[0]
                found = np.where(zero.any(0), Fact.ZERO, self._of_numbers(made))
                wild = spoiled.any(0)
            case Role.DIVIDE if len(facts) == 2:
                found = np.where(zero[0], Fact.ZERO, Fact.ORDINARY)
                wild = spoiled.any(0) | zero[1]
            case Role.EXPONENTIAL | Role.SQUASH | Role.ACTIVATION if len(facts) == 1:
                made = self._run(self._patterns(facts))
                low = stack[0] == Fact.LOW
                found = np.where(low & (made == 0), Fact.ZERO, Fact.ORDINARY)
                bounded = self.node.role is Role.SQUASH
                wild = np.zeros_like(wild) if bounded else wild | (low & (made != 0))
            case Role.INVERSE | Role.POWER | Role.POINTWISE:
                found = np.zeros_like(found)
                wild = spoiled.any(0) | zero.any(0)
            case _:
                return None
        return compact(np.where(wild, Fact.WILD, found))

    def along(self) -> Effect:
        """Of a softmax or an extreme: what is low in a row that is not wholly so, is not seen."""
        known, dims = self.operands[0], self.rule.operands[0]
        made = self.rule.results[0]
        axes = tuple(axis for axis, label in enumerate(dims) if label is None or label not in made)
        facts = known.facts
        low = facts == Fact.LOW
        wild = (facts == Fact.WILD).any(axes, keepdims=True)
        some = (facts <= Fact.ZERO).any(axes, keepdims=True)
        found = self._run(self._patterns([facts]))
        ranks = [len(value.shape) for value in self.node.results]
        if sum(value.is_float for value in self.node.results) > 1:
            raise ValueError("which of several results is asked for is not known")
        if self.node.role is Role.SOFTMAX:
            right = np.where(low, found == 0, found >= 0).all(axes, keepdims=True)
            unseen = low & some & right
            made_facts = np.where(unseen, Fact.ZERO, Fact.ORDINARY)
            # what a softmax gives is bounded; but only if it is known to be one
            made_facts = np.where(right | ~some, made_facts, Fact.WILD)
            return Effect((compact(made_facts),) * len(ranks), {0: unseen})
        rows = tuple(1 if axis in axes else size for axis, size in enumerate(facts.shape))
        picked = found.reshape(rows) == 0
        unseen = low & some & picked & ~wild
        row_facts = np.where(picked & some & ~wild, Fact.ORDINARY, Fact.WILD)
        row_facts = np.where((facts < Fact.LOW).all(axes, keepdims=True), Fact.ORDINARY, row_facts)
        kept = [axis for axis in range(len(rows)) if ranks[0] == len(rows) or axis not in axes]
        row_facts = row_facts.reshape([rows[axis] for axis in kept])
        return Effect(tuple(compact(row_facts) for _ in ranks), {0: unseen})

    def select(self) -> Effect:
        """Of a choice between operands: which operand each element is, where the chooser is known.

        Another number than the operands' is one that the operator itself puts there.
        """
        values = self.node.operands
        chooser = next((n for n, v in enumerate(values) if v.dtype == "bool"), 0)
        data = [n for n in range(len(values)) if n != chooser]
        known = self.fixed[chooser]
        facts = self._aligned([operand.facts for operand in self.operands])
        if known:
            choices: list[Bools] = [facts[chooser] != Fact.ZERO]
        else:
            choices = [np.full((1,) * facts[0].ndim, which) for which in (False, True)]
        found: list[tuple[Ints, Ints]] = []
        for choice in choices:
            codes: list[Numbers] = [np.full(choice.shape, _CODE + n) for n in range(len(values))]
            for n in data:
                native = self.arrays.from_numpy(codes[n], values[n].dtype)
                if not np.array_equal(self.arrays.to_numpy(native), codes[n]):
                    raise ValueError("its dtype cannot hold the codes")
            made = self._run([choice if n == chooser else codes[n] for n in range(len(values))])
            picks: Ints = np.full(made.shape, -1)
            made_facts = self._of_numbers(made)
            for n in data:
                mine = made == _CODE + n
                picks = np.where(mine, n, picks)
                made_facts = np.where(mine, facts[n], made_facts)
            found.append((picks, made_facts))
        if known:
            return Effect((compact(found[0][1]),), {}, found[0][0])
        return Effect((compact(either(found[0][1], found[1][1])),), {})

    def _aligned(self, arrays: Sequence[Ints]) -> list[Ints]:
        (dims,) = set(self.rule.results)
        return [aligned(array, self.rule.operands[n], dims) for n, array in enumerate(arrays)]

    @staticmethod
    def _patterns(facts: Sequence[Ints]) -> list[Numbers]:
        return [np.where(f == Fact.LOW, -np.inf, 0.0) for f in facts]

    def _run(self, numbers: Sequence[Numbers]) -> Numbers:
        """The numbers of the first result."""
        if self.node.run is None:
            raise ValueError("it cannot be run again")
        given = [
            self.arrays.from_numpy(np.ascontiguousarray(array), value.dtype)
            for array, value in zip(numbers, self.node.operands, strict=True)
        ]
        with np.errstate(all="ignore"):
            return np.asarray(self.arrays.to_numpy(self.node.run(given)[0]))

    def _of_numbers(self, numbers: Numbers) -> Ints:
        """Facts of the numbers that an operator made of a pattern."""
        wild = ~(abs(numbers) < _large(self.node.results[0].dtype))
        return np.where(wild, np.where(numbers < 0, Fact.LOW, Fact.WILD), Fact.ORDINARY)


def _large(dtype: str) -> float:
    return _LARGE_HALF if dtype == "float16" else LARGE


def has_hidden_number(node: Node) -> bool:
    """Whether a number that is no operand may be part of it, such as the 2 of x + 2."""
    hidden = {Role.SHIFT: 2, Role.MULTIPLY: 2, Role.LIMIT: 2, Role.SELECT: 3}
    return len(node.operands) < hidden.get(node.role, 0)


def asks_numbers(node: Node, value: Value) -> bool:
    """Whether the numbers of a constant matter for what is known of the result."""
    roles = (Role.SHIFT, Role.MULTIPLY, Role.LIMIT, Role.SELECT)
    moved = isinstance(node.rule, Move) or node.role is Role.DIVIDE
    return node.role in roles or (value.is_float and moved)
