"""If, Loop and Scan: graphs that a node runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normscope.frameworks.onnx.evaluation import Evaluation
from normscope.frameworks.onnx.nodes import constant
from normscope.frameworks.onnx.operators.applied import Made
from normscope.frameworks.onnx.structure import captured, graphs_of
from normscope.graph.labels import elementwise
from normscope.graph.operators import CannotTraceError, Graph, Node, Role, Value
from normscope.graph.replay import replay
from normscope.graph.rules import Branch, Move, Opaque, Repeat, Rule

if TYPE_CHECKING:
    from normscope.frameworks.onnx.trace import Walk

Run = Callable[[Sequence[Any]], Sequence[Any]]


def follow_control(walk: Walk, node: Any) -> None:
    """A node that runs graphs, as a branch, a repetition, or else opaque."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    node = _all_named(node, attributes)
    if node.op_type == "If":
        chosen = walk.value(node.input[0], "the condition of an If")
        numbers = walk.numbers(chosen)
        if numbers is not None:
            graph = attributes["then_branch" if numbers.all() else "else_branch"].g
            return _in_place(walk, node, graph)
    follow = {"If": _branch, "Loop": _loop, "Scan": _scan}[node.op_type]
    try:
        follow(walk, node, attributes)
    except CannotTraceError as error:
        _opaque(walk, node, f"it runs a graph, and {error}")


def _all_named(node: Any, attributes: Any) -> Any:
    """The node with a name for each of its results, those that are left out too."""
    if node.op_type == "If":
        count = len(attributes["then_branch"].g.output)
    else:
        count = len(attributes["body"].g.output) - (node.op_type == "Loop")
    found = type(node)()
    found.CopyFrom(node)
    del found.output[:]
    names = [*node.output, *[""] * (count - len(node.output))]
    found.output.extend(name or f"{node.op_type} {id(node)} {n}" for n, name in enumerate(names))
    return found


def _in_place(walk: Walk, node: Any, graph: Any) -> None:
    """The branch that is taken for these shapes: its nodes stand in the place of the If."""
    inner = walk.inside(walk.graph)
    inner.names = dict(walk.names)
    inner.hold(graph)
    inner.follow(graph.node)
    for name, output in zip(node.output, graph.output, strict=True):
        walk.names[name] = inner.value(output.name, "a result of an If")


# --- graphs inside ------------------------------------------------------------------------------


class _Around:
    """What the graphs of a node take from around it: live values, in their order."""

    def __init__(self, walk: Walk, node: Any) -> None:
        names = [name for graph in graphs_of(node) for name in captured(graph)]
        self.walk = walk
        self.all = {
            name: walk.value(name, "an operand inside of a graph") for name in dict.fromkeys(names)
        }
        self.live = tuple(dict.fromkeys(value for value in self.all.values() if value.live))

    def body(self, node: Any) -> Walk:
        """A graph inside, whose first inputs are the live values from around."""
        graph = Graph(self.walk.graph.arrays, calls=[self.walk.calls.of(node, self.walk.around)])
        inner = self.walk.inside(graph)
        inputs = {value: self.walk.input_like(graph, value) for value in self.live}
        for name, value in self.all.items():
            inner.names[name] = inputs[value] if value.live else self._held(value)
        return inner

    def _held(self, value: Value) -> Value:
        """A value that depends on no input is a constant inside."""
        if value.data is not None:
            return Graph.constant(value.shape, value.dtype, value.data, value.name)
        graph = self.walk.graph
        return Graph.constant(value.shape, value.dtype, lambda: replay(graph, [value], {})[0])


def _finished(inner: Walk, graph: Any) -> list[Value]:
    """The outputs of a graph of the file, whose nodes are followed."""
    inner.hold(graph)
    inner.follow(graph.node)
    return [inner.value(output.name, "an output of a graph inside") for output in graph.output]


def _made(value: Value) -> Made:
    return value.shape, value.dtype


def _branch(walk: Walk, node: Any, attributes: Any) -> None:
    around = _Around(walk, node)
    bodies = []
    for name in ("else_branch", "then_branch"):
        inner = around.body(node)
        inner.inputs_are(around.live, walk)
        inner.graph.outputs = _finished(inner, attributes[name].g)
        bodies.append(inner.graph)
    results = [[_made(value) for value in body.outputs] for body in bodies]
    if results[0] != results[1]:
        raise CannotTraceError("its branches give other shapes")
    condition = walk.value(node.input[0], "the condition of an If")
    operands = [condition, *around.live]
    run = _run(walk, node, around, [condition], operands)
    _add(walk, node, Branch(tuple(bodies)), operands, results[0], run)


def _loop(walk: Walk, node: Any, attributes: Any) -> None:
    graph = attributes["body"].g
    count, again, *first = (
        walk.value(name, "an operand of a Loop") if name else None for name in node.input
    )
    carried = [value for value in first if value is not None]
    around = _Around(walk, node)
    inner = around.body(node)
    limit = [count] if count is not None and count.live else []
    inside_limit = [walk.input_like(inner.graph, value) for value in limit]
    round_name, again_name, *names = (value.name for value in graph.input)
    number = inner.graph.input((), "int64", round_name)
    inner.names[round_name] = number
    inner.names[again_name] = constant(np.asarray(True))  # else there is no such round
    state = [walk.input_like(inner.graph, value) for value in carried]
    inner.names.update(zip(names, state, strict=True))
    zero = constant(np.asarray(0, np.int64))
    inner.inputs_are((*around.live, *limit, zero, *carried), walk)
    continues, *made = _finished(inner, graph)
    out, stacked = made[: len(state)], made[len(state) :]
    if [v.shape for v in out] != [v.shape for v in state]:
        raise CannotTraceError("what it carries changes its shape")
    following = inner.graph.add(
        "Add",
        Role.SHIFT,
        elementwise([0, 0], 0),
        [number, constant(np.asarray(1, np.int64))],
        [((), "int64")],
        lambda arrays: [arrays[0] + arrays[1]],
    ).results[0]
    depends = continues.live or bool(limit) or (again is not None and again.live)
    if count is None and not depends:
        raise CannotTraceError("it never ends, or where it ends is not followed")
    for flag, own in ((again, walk), (continues, inner)):
        if flag is not None and not flag.live and not _is_true(own, flag):
            raise CannotTraceError("it has one round at most")
    start = [zero]
    result = [following]
    if depends:
        start.append(again if again is not None else constant(np.asarray(True)))
        result.append(continues)
        # the flag is carried, though each round finds it true
        flag = inner.graph.input((), "bool", again_name)
        inner.graph.inputs.remove(flag)
        inner.graph.inputs.insert(len(around.live) + len(limit) + 1, flag)
    inner.graph.outputs = [*result, *out, *stacked]
    rule = Repeat(
        inner.graph,
        constants=len(around.live) + len(limit),
        carried=len(start) + len(state),
        condition=_condition(walk, inner.graph, around.live, limit, inside_limit, depends),
    )
    explicit = [v for v in (count, again, *carried) if v is not None]
    operands = [*around.live, *limit, *start, *carried]
    run = _run(walk, node, around, explicit, operands)
    ends = [_made(value) for value in out]
    rounds = None if depends or count is None else walk.numbers(count)
    slices: list[Made] = []
    if rounds is not None:
        length = max(int(rounds.ravel()[0]), 0)
        slices = [((length, *value.shape), value.dtype) for value in stacked]
    elif stacked:
        slices = walk.seen(node, operands, run)[len(out) :]
    hidden: list[Made] = [_made(value) for value in result]
    empty = [np.zeros((), made[1]) for made in hidden]  # nobody takes them

    def run_all(arrays: Sequence[Any]) -> Sequence[Any]:
        return [*empty, *run(arrays)]

    _add(walk, node, rule, operands, [*hidden, *ends, *slices], run_all, len(hidden))


def _is_true(walk: Walk, flag: Value) -> bool:
    numbers = walk.numbers(flag)
    return numbers is not None and bool(numbers.all())


def _condition(
    walk: Walk,
    body: Graph,
    live: Sequence[Value],
    limit: Sequence[Value],
    inside_limit: Sequence[Value],
    depends: bool,
) -> Graph | None:
    """Whether there is another round: the flag that is carried, and the count if it is computed."""
    if not depends:
        return None
    graph = Graph(walk.graph.arrays, calls=[body.calls[0]])
    constants = len(live) + len(limit)
    taken = [graph.input(v.shape, v.dtype, v.name) for v in body.inputs]
    number, flag = taken[constants], taken[constants + 1]
    graph.outputs = [flag]
    if inside_limit:
        below = graph.add(
            "Less",
            Role.COMPARE,
            elementwise([0, len(taken[len(live)].shape)], 0),
            [number, taken[len(live)]],
            [((), "bool")],
            lambda arrays: [np.less(arrays[0], np.reshape(arrays[1], ()))],
        ).results[0]
        graph.outputs = [
            graph.add(
                "And",
                Role.COMPARE,
                elementwise([0, 0], 0),
                [flag, below],
                [((), "bool")],
                lambda arrays: [np.logical_and(*arrays)],
            ).results[0]
        ]
    return graph


def _scan(walk: Walk, node: Any, attributes: Any) -> None:
    if walk.versions.get(node.domain, 1) < 9:
        raise CannotTraceError("it is a Scan over batches of the first kind")
    graph = attributes["body"].g
    slices = attributes["num_scan_inputs"].i
    states = len(node.input) - slices
    outputs = len(graph.output) - states
    values = [walk.value(name, "an operand of a Scan") for name in node.input]

    def listed(name: str, length: int) -> list[int]:
        return list(attributes[name].ints) if name in attributes else [0] * length

    directions = listed("scan_input_directions", slices) + listed("scan_output_directions", outputs)
    if len(set(directions)) > 1:
        raise CannotTraceError("it walks along its operands in two directions")
    taken = [
        _axis_first(walk, value, axis)
        for value, axis in zip(values[states:], listed("scan_input_axes", slices), strict=True)
    ]
    carried = values[:states]
    around = _Around(walk, node)
    inner = around.body(node)
    inside = [walk.input_like(inner.graph, value) for value in carried]
    inside += [walk.input_like(inner.graph, value, value.shape[1:]) for value in taken]
    inner.names.update(zip((value.name for value in graph.input), inside, strict=True))
    length = taken[0].shape[0]
    inner.inputs_are((*around.live, *carried, *taken), walk, slices=len(taken))
    made = _finished(inner, graph)
    inner.graph.outputs = made
    out, stacked = made[:states], made[states:]
    if [v.shape for v in out] != [v.shape for v in carried]:
        raise CannotTraceError("what it carries changes its shape")
    rule = Repeat(inner.graph, len(around.live), states, reverse=bool(directions and directions[0]))
    explicit = [*carried, *taken]
    operands = [*around.live, *explicit]
    plain = _without(node, ("scan_input_axes", "scan_output_axes"))
    run = _run(walk, plain, around, explicit, operands)
    results = [_made(v) for v in out] + [((length, *v.shape), v.dtype) for v in stacked]
    added = _add(walk, node, rule, operands, results, run)
    for place, axis in enumerate(listed("scan_output_axes", outputs), states):
        rank = len(results[place][0])
        if axis % max(rank, 1):
            value = _moved_axis(walk, added.results[place], 0, axis % rank)
            walk.names[node.output[place]] = value


def _axis_first(walk: Walk, value: Value, axis: int) -> Value:
    axis %= max(len(value.shape), 1)
    return _moved_axis(walk, value, axis, 0) if axis else value


def _moved_axis(walk: Walk, value: Value, source: int, target: int) -> Value:
    shape = np.moveaxis(np.empty((0, *value.shape)), source + 1, target + 1).shape[1:]

    def move(arrays: Sequence[Any]) -> list[Any]:
        return [np.moveaxis(arrays[0], source, target)]

    node = walk.graph.add(
        "Transpose", Role.MOVE, Move((0,), move), [value], [(shape, value.dtype)], move
    )
    if value in walk.loose:
        walk.loose.add(node.results[0])
    return node.results[0]


# --- the node itself ----------------------------------------------------------------------------


def _opaque(walk: Walk, node: Any, why: str) -> None:
    """Nothing is known of what it does; the shapes of its results are seen in a run."""
    around = _Around(walk, node)
    explicit = [walk.value(name, f"an operand of {node.op_type}") for name in node.input if name]
    operands = [*explicit, *around.live]
    run = _run(walk, node, around, explicit, operands)
    _add(walk, node, Opaque(why), operands, walk.seen(node, operands, run), run)


def _run(
    walk: Walk,
    node: Any,
    around: _Around,
    explicit: Sequence[Value],
    operands: Sequence[Value],
) -> Run:
    """Runs the node for arrays of the operands that a graph's node has.

    Args:
        walk: that meets the node.
        node: of the file.
        around: what its graphs take from around.
        explicit: what it takes itself.
        operands: the live ones of all these; the others do not change.
    """
    evaluation = Evaluation(walk.bound(node), walk.versions, list(around.all), walk.model.functions)

    def run(arrays: Sequence[Any]) -> list[Any]:
        known = dict(zip(operands, arrays, strict=True))
        return evaluation(
            [
                known[value] if value in known else replay(walk.graph, [value], {})[0]
                for value in (*explicit, *around.all.values())
            ]
        )

    return run


def _add(
    walk: Walk,
    node: Any,
    rule: Rule,
    operands: Sequence[Value],
    results: Sequence[Made],
    run: Run,
    hidden: int = 0,
) -> Node:
    """The node in the graph; its first results are `hidden`, as the file has no names for them."""
    added = walk.add(node, Role.OTHER, rule, operands, results, run)
    bodies = [*rule.bodies] if isinstance(rule, Branch) else []
    bodies += [rule.body] if isinstance(rule, Repeat) else []
    shaping = [*operands, *(value for body in bodies for value in body.outputs)]
    stops = isinstance(rule, Repeat) and rule.condition is not None
    if isinstance(rule, Opaque) or stops or not walk.loose.isdisjoint(shaping):
        walk.loose.update(added.results)
    walk.names.update(zip(node.output, added.results[hidden:], strict=True))
    return added


def _without(node: Any, names: Sequence[str]) -> Any:
    found = type(node)()
    found.CopyFrom(node)
    del found.attribute[:]
    found.attribute.extend(a for a in node.attribute if a.name not in names)
    return found
