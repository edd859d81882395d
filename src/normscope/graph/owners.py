"""Whose is each element? A graph is followed from its inputs, and each value gets owners.

What the rule of an operator leaves open is joined, so the owners are never too few.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.constants import Constants
from normscope.graph.inner_graphs import branch, repeat
from normscope.graph.label_owners import joined, picked, product, summed
from normscope.graph.lattice import NOBODY, Ints, Lattice, compact, constant, nobody, numbered
from normscope.graph.masks import (
    Effect,
    Fact,
    Known,
    asks_numbers,
    effect,
    facts_of,
    generic,
    has_hidden_number,
)
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import known_numbers
from normscope.graph.rules import (
    Branch,
    Dims,
    Host,
    Labels,
    Move,
    Names,
    Opaque,
    Repeat,
    Scatter,
)

_MOST_MOVED = 2**27
"""So many elements are told apart where an operator moves them."""

_MANY = 2**24
"""Of more, names are repeated instead of copied, and in a byte or two each."""


class Owners:
    """The owners of all values of a graph.

    Attributes:
        graph: whose values they are.
        lattice: of the owners.
        hosts: the operators through which the program reads what belongs to somebody.
        reasons: why an operator tells no more: that nothing is known of it, or that what it joins
            only chooses. An operator that computes has none.
        inner: of operators that run graphs, the operator inside where owners meet first.
        masked: a finite mask or a weight that is zero counted.
    """

    def __init__(self, graph: Graph, lattice: Lattice, inputs: Mapping[Value, Ints]) -> None:
        self.graph = graph
        self.lattice = lattice
        self.hosts: list[Node] = []
        self.reasons: dict[Node, str] = {}
        self.inner: dict[Node, Node] = {}
        self.masked = False
        self._known: dict[Value, Known] = {}
        self._constants = Constants(graph)
        self._meeting: list[Node] | None = None  # inside a body: where owners met
        for value, owners in inputs.items():
            self._known[value] = Known(owners, generic((), owners.ndim))
        self._follow(graph)

    def of(self, value: Value) -> Ints:
        """The owners of a value, broadcast to its shape."""
        return self._of(value).owners

    def _of(self, value: Value) -> Known:
        known = self._known.get(value)
        if known is None:
            # what depends on an input, and no rule has reached, is everyone's
            rank = len(value.shape)
            owner = self.lattice.count if value.live else NOBODY
            fact = Fact.WILD if value.live else Fact.ORDINARY
            known = self._known[value] = Known(constant(rank, owner), constant(rank, fact))
        return known

    # --- graphs -----------------------------------------------------------------------------------

    def _follow(self, graph: Graph) -> None:
        for node in graph.nodes:
            if isinstance(node.rule, Host):
                if any((self.of(value) != NOBODY).any() for value in node.operands):
                    self.hosts.append(node)
            elif node.live:
                self._node(node)

    def _node(self, node: Node) -> None:
        try:
            found = self._by_rule(node)
            _check(node, found)
        except Exception as error:  # a rule that does not fit its operator: nothing is known of it
            found = self._opaque(node, f"{type(error).__name__}: {error}")
        operands = node.live_operands
        for value, known in zip(node.results, found, strict=True):
            zero = known.facts == Fact.ZERO
            if zero.any():
                self.masked |= bool((zero & (known.owners != NOBODY)).any())
                known = Known(np.where(zero, NOBODY, known.owners), known.facts)
            self._known[value] = known
        if self._meeting is not None and self._meets(node.results) and not self._meets(operands):
            self._meeting.append(node)

    def _meets(self, values: Iterable[Value]) -> bool:
        return any((self.of(value) == self.lattice.count).any() for value in values)

    def _by_rule(self, node: Node) -> list[Known]:
        match node.rule:
            case Labels():
                return self._labels(node, node.rule)
            case Move():
                return self._move(node, node.rule)
            case Scatter():
                return self._scatter(node, node.rule)
            case Branch():
                return self._branch(node, node.rule)
            case Repeat():
                return self._repeat(node, node.rule)
            case Opaque(why):
                return self._opaque(node, why)
        raise ValueError(f"a rule {type(node.rule).__name__}")

    def _opaque(self, node: Node, why: str) -> list[Known]:
        self.reasons[node] = f"of {node.operator}, {why}"
        operands = [self._of(value) for value in node.operands]
        owner = NOBODY
        for known in operands:
            both = np.array([owner, self.lattice.joined(known.owners)])
            owner = self.lattice.joined(both)
        return [
            Known(constant(len(value.shape), owner), generic(operands, len(value.shape)))
            for value in node.results
        ]

    def _operands(self, node: Node) -> list[Known]:
        """What is known of them; of constants, where it matters, their numbers too."""
        return [
            self._constant(value)
            if not value.live and asks_numbers(node, value)
            else self._of(value)
            for value in node.operands
        ]

    def _constant(self, value: Value) -> Known:
        return Known(self.of(value), self._constants.facts(value))

    # --- labels -----------------------------------------------------------------------------------

    def _labels(self, node: Node, rule: Labels) -> list[Known]:
        operands = self._operands(node)
        shapes = [value.shape for value in node.operands]
        results = [value.shape for value in node.results]
        told = Effect(tuple(constant(len(shape), Fact.ORDINARY) for shape in results), {})
        if has_hidden_number(node) or not all(known.plain for known in operands):
            fixed = [self._constants.are_same(value) for value in node.operands]
            told = effect(self.graph.arrays, node, rule, operands, fixed)
        owners = [known.owners for known in operands]
        for number, unseen in told.unseen.items():
            if unseen.any():
                self.masked = True
                owners[number] = np.where(unseen, NOBODY, owners[number])
        if told.picks is not None:
            return [Known(picked(rule, owners, told.picks), told.facts[0])]
        found = []
        for dims, shape, facts in zip(rule.results, results, told.facts, strict=True):
            product = self._product(node, rule, dims, operands)
            made = (
                joined(self.lattice, rule, owners, shapes, dims, shape)
                if product is None
                else product
            )
            found.append(Known(made, facts))
        if rule.chooses and any((known.owners == self.lattice.count).any() for known in found):
            kept = [nobody(o.ndim) if n in rule.chooses else o for n, o in enumerate(owners)]
            data = [
                joined(self.lattice, rule, kept, shapes, dims, shape)
                for dims, shape in zip(rule.results, results, strict=True)
            ]
            if not any((o == self.lattice.count).any() for o in data):
                self.reasons[node] = _CHOICE
        return found

    def _product(
        self, node: Node, rule: Labels, dims: Dims, operands: Sequence[Known]
    ) -> Ints | None:
        """The owners of a sum of products in which some factors are zero; None if none matter."""
        places, along = summed(rule, dims) if node.role is Role.PRODUCT else ([], [])
        if not places:
            return None
        pair = [operands[number] for number in places]
        for this, other in ((0, 1), (1, 0)):
            labels = rule.operands[places[other]]
            varies = any(pair[other].owners.shape[labels.index(label)] > 1 for label in along)
            value = node.operands[places[this]]
            if varies and self._constants.are_same(value):
                pair[this] = self._constant(value)
        found = product(self.lattice, rule, dims, pair, places, along)
        if found is None:
            return None
        self.masked = True
        rest = {n: labels for n, labels in rule.operands.items() if n not in places}
        owners, shapes = [k.owners for k in operands], [v.shape for v in node.operands]
        shape = node.results[rule.results.index(dims)].shape
        others = joined(self.lattice, Labels(rest, rule.results), owners, shapes, dims, shape)
        return self.lattice.join(found, others)

    # --- moves ------------------------------------------------------------------------------------

    def _elsewhere(self, node: Node, data: Sequence[int]) -> list[NDArray[Any] | None] | None:
        """The numbers that say where, None for data; None if they depend on an input."""
        numbers: list[NDArray[Any] | None] = []
        for number, value in enumerate(node.operands):
            if number in data:
                numbers.append(None)
            elif value.live:
                return None
            else:
                numbers.append(known_numbers(self.graph, value))
        return numbers

    def _otherwise(self, node: Node, labels: Labels | None) -> list[Known]:
        if labels is None:
            return self._opaque(node, "where its elements go depends on an input")
        return self._labels(node, labels)

    def _move(self, node: Node, rule: Move) -> list[Known]:
        numbers = self._elsewhere(node, rule.data)
        if numbers is None:
            return self._otherwise(node, rule.otherwise)
        operands = self._operands(node)
        sizes = [value.size for value in (*node.operands, *node.results)]
        data = [operands[number] for number in rule.data]
        plain = all(known.plain for known in data)
        owners = {known.owners.item() for known in data if known.owners.size == 1}
        if plain and len(owners) == 1 and all(known.owners.size == 1 for known in data):
            grows = sum(node.operands[number].size for number in rule.data) < node.results[0].size
            if not grows or (self._padding(node, rule) < Fact.LOW).all():
                (owner,) = owners
                ranks = [len(value.shape) for value in node.results]
                return [Known(constant(r, owner), constant(r, Fact.ORDINARY)) for r in ranks]
        if max(sizes) > _MOST_MOVED:
            return self._opaque(node, f"it moves more than {_MOST_MOVED} elements")
        given: list[NDArray[Any]] = []
        for number, array in enumerate(numbers):
            if array is not None:
                given.append(array)
                continue
            known = operands[number]
            codes = known.owners + 1
            codes = codes if plain else codes * len(Fact) + known.facts
            shape = node.operands[number].shape
            if max(sizes) > _MANY:
                given.append(np.broadcast_to(codes.astype(_least_dtype(codes)), shape))
            else:
                given.append(np.ascontiguousarray(np.broadcast_to(codes, shape)))
        return [self._moved(node, rule, names, plain) for names in rule.replay(given)]

    def _moved(self, node: Node, rule: Move, names: Names, plain: bool) -> Known:
        """What is known of elements whose names are codes of their owners and facts."""
        codes = compact(np.asarray(names)).astype(np.int64, copy=False)
        owners, facts = (codes, np.zeros_like(codes)) if plain else np.divmod(codes, len(Fact))
        nowhere = codes < 0
        if nowhere.any():
            owners = np.where(nowhere, NOBODY + 1, owners)
            facts = np.where(nowhere, self._padding(node, rule), facts)
        return Known(compact(owners - 1), compact(facts))

    def _padding(self, node: Node, rule: Move) -> Ints:
        """The facts of what comes from no operand."""
        value = node.results[0]
        if len(node.results) > 1 or node.run is None:
            return constant(len(value.shape), Fact.WILD)
        arrays = self.graph.arrays
        try:
            given = [
                arrays.from_numpy(
                    np.zeros(v.shape) if n in rule.data else known_numbers(self.graph, v), v.dtype
                )
                for n, v in enumerate(node.operands)
            ]
            return facts_of(arrays.to_numpy(node.run(given)[0]), value.dtype, learned=False)
        except Exception:  # an operator may refuse by any exception
            return constant(len(value.shape), Fact.WILD)

    def _scatter(self, node: Node, rule: Scatter) -> list[Known]:
        data = [n for n in (rule.target, rule.source) if n is not None]
        numbers = self._elsewhere(node, data)
        if numbers is None:
            return self._otherwise(node, rule.otherwise)
        (result,) = node.results
        operands = self._operands(node)
        source = operands[rule.source].owners
        rank = len(result.shape)
        target = nobody(rank) if rule.target is None else operands[rule.target].owners
        facts = generic([operands[n] for n in data], rank)
        if source.size == 1 and target.size == 1 and source.item() in (NOBODY, target.item()):
            return [Known(constant(rank, target.item()), facts)]
        places = np.asarray(rule.places(numbers), np.int64).reshape(-1)
        sources = np.broadcast_to(source, node.operands[rule.source].shape).reshape(-1)
        kept = places >= 0
        places, sources = places[kept], sources[kept]
        flat = np.broadcast_to(target, result.shape).reshape(-1).copy()
        if not rule.adds:
            flat[places] = NOBODY
        flat = self.lattice.join_at(flat, places, sources)
        return [Known(compact(flat.reshape(result.shape)), facts)]

    # --- graphs inside ----------------------------------------------------------------------------

    def _body(self, body: Graph, inputs: Sequence[Known]) -> list[Known]:
        for value, known in zip(body.inputs, inputs, strict=True):
            self._known[value] = known
        self._follow(body)
        return [self._of(value) for value in body.outputs]

    def _branch(self, node: Node, rule: Branch) -> list[Known]:
        with _Inside(self, node):
            found, owner = branch(self.lattice, self._body, rule, self._given(node))
        return self._chosen(node, found, owner)

    def _repeat(self, node: Node, rule: Repeat) -> list[Known]:
        with _Inside(self, node):
            found, owner = repeat(self.lattice, self._body, node, rule, self._given(node))
        return found if owner is None else self._chosen(node, found, owner)

    def _given(self, node: Node) -> list[Known]:
        return [self._of(v) if v.live else self._constant(v) for v in node.operands]

    def _chosen(self, node: Node, found: list[Known], owner: int) -> list[Known]:
        """What depends on a choice too."""
        if owner == NOBODY:
            return found
        top = self.lattice.count
        if not any((known.owners == top).any() for known in found):
            self.reasons[node] = _CHOICE
        return [
            Known(self.lattice.join(k.owners, constant(k.owners.ndim, owner)), k.facts)
            for k in found
        ]


def owners_of_inputs(graph: Graph, axes: Sequence[int | None], count: int) -> dict[Value, Ints]:
    """Each index along an axis of each input, where it is so long; else nobody.

    Args:
        graph: whose inputs they are.
        axes: of each input; None for one that belongs to nobody.
        count: of samples or steps.
    """
    found = {}
    for value, axis in zip(graph.inputs, axes, strict=True):
        found[value] = nobody(len(value.shape))
        if axis is not None and value.shape[axis] == count:
            found[value] = numbered(len(value.shape), axis, count)
    return found


_CHOICE = "what meets here only chooses, or counts"


class _Inside:
    """Within, it is noted where owners meet first inside of an operator that runs graphs."""

    def __init__(self, owners: Owners, node: Node) -> None:
        self.owners = owners
        self.node = node

    def __enter__(self) -> None:
        self.outer = self.owners._meeting
        self.owners._meeting = []

    def __exit__(self, *error: object) -> None:
        met = self.owners._meeting
        self.owners._meeting = self.outer
        if met:
            first = self.owners.inner.get(met[0], met[0])
            self.owners.inner.setdefault(self.node, first)


def _check(node: Node, found: Sequence[Known]) -> None:
    for value, known in zip(node.results, found, strict=True):
        for array in (known.owners, known.facts):
            shape = array.shape
            if len(shape) != len(value.shape) or any(
                own not in (1, size) for own, size in zip(shape, value.shape, strict=True)
            ):
                raise ValueError(f"its rule gives {shape} for a result of shape {value.shape}")


def _least_dtype(codes: Ints) -> type[np.signedinteger[Any]]:
    """The smallest integers that hold the codes, those next to them and the negative ones."""
    most = int(codes.max(initial=0)) + 1
    return next(t for t in (np.int8, np.int16, np.int32, np.int64) if most <= np.iinfo(t).max)
