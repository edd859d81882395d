"""Whose is each element? A graph is followed from its inputs, and each value gets owners.

What the rule of an operator leaves open is joined, so the owners are never too few.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.lattice import (
    NOBODY,
    Ints,
    Lattice,
    aligned,
    compact,
    constant,
    nobody,
)
from normscope.graph.masks import (
    Effect,
    Fact,
    Known,
    asks_numbers,
    effect,
    either,
    either_along,
    facts_of,
    generic,
    has_hidden_number,
)
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers
from normscope.graph.rules import (
    Branch,
    Dims,
    Fixed,
    Host,
    Labels,
    Move,
    Names,
    Opaque,
    Repeat,
    Scatter,
)

_ROUNDS = 100_000
"""So many operators are followed, round by round, where the rounds of a loop differ."""

_PAIRS = 50_000_000
"""So many pairs of factors are looked at in one product."""


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
        self._constants: dict[Value, Known] = {}
        self._drawn: dict[Node, bool] = {}
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

    # --- constants --------------------------------------------------------------------------------

    def _operands(self, node: Node) -> list[Known]:
        """What is known of them; of constants, where it matters, their numbers too."""
        return [
            self._constant(value)
            if not value.live and asks_numbers(node, value)
            else self._of(value)
            for value in node.operands
        ]

    def _constant(self, value: Value) -> Known:
        if value not in self._constants:
            known = self._of(value)
            try:
                if self._is_fixed(value):
                    numbers = known_numbers(self.graph, value)
                    facts = facts_of(numbers, value.dtype, learned=_is_learned(value))
                    known = self._constants[value] = Known(known.owners, facts)
            except CannotReplayError:
                pass
            if value not in self._constants:
                self._constants[value] = Known(
                    known.owners, constant(len(value.shape), Fact.ORDINARY)
                )
        return self._constants[value]

    def _is_fixed(self, value: Value) -> bool:
        return not value.live and (value.node is None or not self._is_drawn(value.node))

    def _is_drawn(self, node: Node) -> bool:
        """Whether its numbers may be others in another call."""
        stack = [node]
        while stack:
            top = stack[-1]
            makers = [v.node for v in top.operands if v.node is not None and not v.live]
            missing = [maker for maker in makers if maker not in self._drawn]
            if isinstance(top.rule, Fixed):
                self._drawn[stack.pop()] = top.rule.drawn
            elif missing:
                stack += missing
            else:
                self._drawn[stack.pop()] = any(self._drawn[maker] for maker in makers)
        return self._drawn[node]

    # --- labels -----------------------------------------------------------------------------------

    def _labels(self, node: Node, rule: Labels) -> list[Known]:
        operands = self._operands(node)
        shapes = [value.shape for value in node.operands]
        results = [value.shape for value in node.results]
        told = Effect(tuple(constant(len(shape), Fact.ORDINARY) for shape in results), {})
        if has_hidden_number(node) or not all(known.plain for known in operands):
            fixed = [self._is_fixed(value) for value in node.operands]
            told = effect(self.graph.arrays, node, rule, operands, fixed)
        owners = [known.owners for known in operands]
        for number, unseen in told.unseen.items():
            if unseen.any():
                self.masked = True
                owners[number] = np.where(unseen, NOBODY, owners[number])
        if told.picks is not None:
            return [Known(self._picked(rule, owners, told.picks), told.facts[0])]
        found = []
        for dims, shape, facts in zip(rule.results, results, told.facts, strict=True):
            product = self._product(node, rule, dims, operands)
            made = self._joined(rule, owners, shapes, dims, shape) if product is None else product
            found.append(Known(made, facts))
        if rule.chooses and any((known.owners == self.lattice.count).any() for known in found):
            kept = [nobody(o.ndim) if n in rule.chooses else o for n, o in enumerate(owners)]
            data = [
                self._joined(rule, kept, shapes, dims, shape)
                for dims, shape in zip(rule.results, results, strict=True)
            ]
            if not any((o == self.lattice.count).any() for o in data):
                self.reasons[node] = _CHOICE
        return found

    def _joined(
        self,
        rule: Labels,
        owners: Sequence[Ints],
        shapes: Sequence[tuple[int, ...]],
        dims: Dims,
        shape: tuple[int, ...],
    ) -> Ints:
        """The owners of a result whose dimensions have these labels."""
        joined = nobody(len(shape))
        for number, labels in rule.operands.items():
            own = owners[number]
            if own.size == 1 and own.item() == NOBODY:
                continue
            if len(labels) != own.ndim or len(dims) != len(shape):
                raise ValueError("its labels are not as many as its dimensions")
            gone = [axis for axis, label in enumerate(labels) if label is None or label not in dims]
            own = self.lattice.join_along(own, gone)
            for axis, label in enumerate(labels):
                if axis in gone or own.shape[axis] == 1 or label is None:
                    continue
                made, size = shape[dims.index(label)], shapes[number][axis]
                if label in rule.relations:
                    own = self.lattice.seen(own, axis, rule.relations[label], size, made)
                elif made > size:
                    raise ValueError(f"along {label}, {size} indices become {made}")
                else:
                    own = own.take(np.arange(made), axis)
            joined = self.lattice.join(joined, aligned(own, labels, dims))
        return joined

    def _picked(self, rule: Labels, owners: Sequence[Ints], picks: Ints) -> Ints:
        (dims,) = set(rule.results)
        joined: Ints = np.full(picks.shape, NOBODY)
        for number, labels in rule.operands.items():
            joined = np.where(picks == number, aligned(owners[number], labels, dims), joined)
        return compact(joined)

    def _product(
        self, node: Node, rule: Labels, dims: Dims, operands: Sequence[Known]
    ) -> Ints | None:
        """The owners of a sum of products in which some factors are zero; None if none matter."""
        if node.role is not Role.PRODUCT or rule.relations or len(rule.operands) != 2:
            return None
        numbers = list(rule.operands)
        sides = [rule.operands[number] for number in numbers]
        summed = [a for a in dict.fromkeys(sides[0]) if a and a in sides[1] and a not in dims]
        values = [node.operands[number] for number in numbers]
        knowns = [operands[number] for number in numbers]
        for this, other in ((0, 1), (1, 0)):
            along = [sides[other].index(label) for label in summed]
            varies = any(knowns[other].owners.shape[axis] > 1 for axis in along)
            if varies and self._is_fixed(values[this]):
                knowns[this] = self._constant(values[this])
        if not summed or any(known.spoiled for known in knowns):
            return None
        if not any((known.facts == Fact.ZERO).any() for known in knowns):
            return None
        joint = (*dims, *summed)
        zeros, owners = [], []
        for labels, known in zip(sides, knowns, strict=True):
            gone = [axis for axis, label in enumerate(labels) if label not in joint or not label]
            zero = (known.facts == Fact.ZERO).astype(np.int64)
            zeros.append(aligned(zero.min(tuple(gone), keepdims=True), labels, joint) == 1)
            owners.append(aligned(self.lattice.join_along(known.owners, gone), labels, joint))
        zero = zeros[0] | zeros[1]
        shape = np.broadcast_shapes(zero.shape, *(own.shape for own in owners))
        if np.prod(shape, dtype=float) > _PAIRS:
            return None
        self.masked = True
        seen = np.where(zero, NOBODY, self.lattice.join(*owners))
        last = tuple(range(len(dims), len(joint)))
        return self.lattice.join_along(seen, last).reshape(seen.shape[: len(dims)])

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
        data = [operands[number] for number in rule.data]
        grows = sum(node.operands[number].size for number in rule.data) < node.results[0].size
        alike = len({k.owners.flat[0] for k in data if k.owners.size}) == 1
        if (
            all(k.owners.size == 1 and k.facts.size == 1 for k in data)
            and alike
            and (not grows or (self._padding(node, rule) < Fact.LOW).all())
        ):
            owner = self.lattice.joined(np.array([k.owners.item() for k in data]))
            facts = np.array([k.facts.item() for k in data])
            fact = either_along(facts, 0).item()
            return [
                Known(constant(len(v.shape), owner), constant(len(v.shape), fact))
                for v in node.results
            ]
        plain = all(known.plain for known in data)
        given: list[NDArray[Any]] = []
        for number, array in enumerate(numbers):
            if array is not None:
                given.append(array)
                continue
            known = operands[number]
            codes = known.owners + 1
            codes = codes if plain else codes * len(Fact) + known.facts
            shape = node.operands[number].shape
            given.append(np.ascontiguousarray(np.broadcast_to(codes, shape)))
        return [self._moved(node, rule, names, plain) for names in rule.replay(given)]

    def _moved(self, node: Node, rule: Move, names: Names, plain: bool) -> Known:
        """What is known of elements whose names are codes of their owners and facts."""
        codes = compact(np.asarray(names))
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

    def _either(self, one: Known, other: Known) -> Known:
        owners = compact(self.lattice.join(one.owners, other.owners))
        return Known(owners, compact(either(one.facts, other.facts)))

    def _also(self, known: Known, owner: int) -> Known:
        """What depends on a choice too."""
        rank = known.owners.ndim
        return Known(self.lattice.join(known.owners, constant(rank, owner)), known.facts)

    def _branch(self, node: Node, rule: Branch) -> list[Known]:
        chooser, *inputs = (self._of(value) for value in node.operands)
        with _Inside(self, node):
            found = [self._body(body, inputs) for body in rule.bodies]
        joined = found[0]
        for other in found[1:]:
            joined = [self._either(a, b) for a, b in zip(joined, other, strict=True)]
        return self._chosen(node, joined, self.lattice.joined(chooser.owners))

    def _chosen(self, node: Node, found: list[Known], owner: int) -> list[Known]:
        if owner == NOBODY:
            return found
        chosen = [self._also(known, owner) for known in found]
        top = self.lattice.count
        if not any((known.owners == top).any() for known in found):
            self.reasons[node] = _CHOICE
        return chosen

    def _repeat(self, node: Node, rule: Repeat) -> list[Known]:
        operands = [self._of(value) for value in node.operands]
        kept = rule.constants + rule.carried
        constants, slices = operands[: rule.constants], operands[kept:]
        carried = operands[rule.constants : kept]
        varies = any(k.owners.shape[0] > 1 or k.facts.shape[0] > 1 for k in slices)
        lengths = [value.shape[0] for value in node.operands[kept:]]
        with _Inside(self, node):
            if varies and rule.condition is None:
                rounds = lengths[0]
                if rounds * len(rule.body.nodes) <= _ROUNDS:
                    return self._round_by_round(rule, constants, carried, slices, rounds)
            return self._to_a_fixed_point(node, rule, constants, carried, slices)

    def _round_by_round(
        self,
        rule: Repeat,
        constants: list[Known],
        carried: list[Known],
        slices: list[Known],
        rounds: int,
    ) -> list[Known]:
        stacked: list[list[Known]] = []
        for number in range(rounds):
            at = rounds - 1 - number if rule.reverse else number
            found = self._body(rule.body, [*constants, *carried, *(_slice(k, at) for k in slices)])
            carried = found[: rule.carried]
            stacked.append(found[rule.carried :])
        ordered = stacked[::-1] if rule.reverse else stacked
        return [*carried, *(_stack(row) for row in zip(*ordered, strict=True))]

    def _to_a_fixed_point(
        self,
        node: Node,
        rule: Repeat,
        constants: list[Known],
        carried: list[Known],
        slices: list[Known],
    ) -> list[Known]:
        every = [self._any_slice(known) for known in slices]
        top = self.lattice.count
        most = 2 * top + 8  # rounds in which an owner that each round raises by one is at the end
        for number in range(most + 1):
            found = self._body(rule.body, [*constants, *carried, *every])
            now = [self._either(a, b) for a, b in zip(carried, found, strict=False)]
            if all(_same(a, b) for a, b in zip(carried, now, strict=True)):
                break
            carried = now
            if number == most:
                carried = [
                    Known(constant(k.owners.ndim, top), constant(k.facts.ndim, Fact.WILD))
                    for k in carried
                ]
                found = self._body(rule.body, [*constants, *carried, *every])
        results = [*carried, *(_stack([known]) for known in found[rule.carried :])]
        if rule.condition is None:
            return results
        (again,) = self._body(rule.condition, [*constants, *carried])
        return self._chosen(node, results, self.lattice.joined(again.owners))

    def _any_slice(self, known: Known) -> Known:
        owners = self.lattice.join_along(known.owners, [0])
        return Known(owners[0], either_along(known.facts, 0)[0])


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


def _is_learned(value: Value) -> bool:
    """Whether it is a parameter, or a part of one."""
    while value.node is not None and value.node.moves and not value.node.live:
        value = value.node.operands[0]
    return value.is_parameter


def _check(node: Node, found: Sequence[Known]) -> None:
    for value, known in zip(node.results, found, strict=True):
        for array in (known.owners, known.facts):
            shape = array.shape
            if len(shape) != len(value.shape) or any(
                own not in (1, size) for own, size in zip(shape, value.shape, strict=True)
            ):
                raise ValueError(f"its rule gives {shape} for a result of shape {value.shape}")


def _slice(known: Known, at: int) -> Known:
    return Known(*(a[at if a.shape[0] > 1 else 0] for a in (known.owners, known.facts)))


def _stack(row: Sequence[Known]) -> Known:
    owners, facts = (
        compact(np.stack(np.broadcast_arrays(*arrays)))
        for arrays in ([k.owners for k in row], [k.facts for k in row])
    )
    return Known(owners, facts)


def _same(one: Known, other: Known) -> bool:
    pairs = ((one.owners, other.owners), (one.facts, other.facts))
    return all(bool(np.all(a == b)) for a, b in pairs)
