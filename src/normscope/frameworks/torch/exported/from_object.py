"""A live `torch.export.ExportedProgram` as a `Program`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch.export.exported_program import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import GraphModule, Node
from torch.utils import _pytree

from normscope.errors import SpecError
from normscope.frameworks.torch.exported.program import (
    Body,
    Control,
    Layer,
    Program,
    Ref,
    Size,
    Step,
    Taken,
    call_signature,
    layer_of,
    source_of,
)


def program_of(exported: ExportedProgram) -> Program:
    """The steps of a live program; its tensors are those of the program itself.

    Raises:
        SpecError: it holds what is no tensor, such as objects of C++.
    """
    held: dict[str, torch.Tensor] = {}
    names: dict[str, str] = {}
    taken: list[Taken] = []
    placeholders = {
        name: node  # torch.fx renames some, such as "input", and the signature does not
        for node in exported.graph.nodes
        if node.op == "placeholder"
        for name in (node.target, node.name)
    }
    for one in exported.graph_signature.input_specs:
        if one.kind is InputKind.USER_INPUT:
            taken.append(_taken(placeholders[one.arg.name], one, exported.range_constraints))
        elif one.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            path = str(one.target)
            held[path], names[placeholders[one.arg.name].name] = _held(exported, path), path
        else:
            raise SpecError(
                f"the exported program holds {one.target}, which is no tensor; give the module "
                "that was exported"
            )
    written, outputs = _outputs(exported.graph_signature.output_specs)
    in_spec, out_spec = exported.call_spec.in_spec, exported.call_spec.out_spec
    entry = exported.module_call_graph[0].signature
    if in_spec is None or out_spec is None or entry is None:
        raise SpecError("the exported program does not say what its arguments are")

    def flattened(arguments: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        leaves, found = _pytree.tree_flatten((tuple(arguments), dict(named)))
        if found != in_spec:
            raise ValueError(f"the program takes {_line(in_spec)}, not {_line(found)}")
        return leaves

    return Program(
        body=_body(exported.graph_module, [one.name for one in taken]),
        taken=tuple(taken),
        held=held,
        names=names,
        written=written,
        outputs=outputs,
        signature=_signature(in_spec, entry.forward_arg_names or [], taken),
        flattened=flattened,
        unflattened=lambda leaves: _pytree.tree_unflatten(leaves, in_spec),
        built=lambda leaves: _pytree.tree_unflatten(leaves, out_spec),
    )


def _line(spec: object) -> str:
    return " ".join(str(spec).split())


def _held(exported: ExportedProgram, path: str) -> torch.Tensor:
    found = exported.state_dict.get(path, exported.constants.get(path))
    if not isinstance(found, torch.Tensor):
        raise SpecError(f"the exported program has no tensor {path}")
    tensor: torch.Tensor = _plain(found)
    return tensor


def _taken(node: Node, one: Any, ranges: Mapping[Any, Any]) -> Taken:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return Taken(node.name, value=getattr(one.arg, "value", value))
    return Taken(node.name, tuple(_size(s, ranges) for s in value.shape), value.dtype)


def _size(size: Any, ranges: Mapping[Any, Any]) -> int | Size:
    if isinstance(size, int):
        return size
    symbol, hint = size.node.expr, size.node.hint
    least = int(ranges[symbol].lower) if symbol in ranges else 0
    return Size(max(least, 4 if hint is None else int(hint)), least, symbol in ranges)


def _outputs(specs: Iterable[Any]) -> tuple[dict[str, int], tuple[int, ...]]:
    written: dict[str, int] = {}
    outputs = []
    for number, one in enumerate(specs):
        if one.kind in (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION):
            written[str(one.target)] = number
        elif one.kind in (OutputKind.USER_OUTPUT, OutputKind.LOSS_OUTPUT):
            outputs.append(number)
    return written, tuple(outputs)


def _signature(spec: Any, order: Sequence[str], taken: Sequence[Taken]) -> inspect.Signature:
    positional, by_name = _children(spec)
    count = positional.num_children
    named = list(by_name.context)
    by_position = list(order)[:count] if len(order) >= count else [f"x{n}" for n in range(count)]
    leaves = iter(taken)
    defaults = {}
    for name, part in zip(
        [*by_position, *named], [*_children(positional), *_children(by_name)], strict=True
    ):
        own = [next(leaves) for _ in range(part.num_leaves)]
        if part.is_leaf() and own[0].shape is None:
            defaults[name] = own[0].value
    return call_signature(by_position, named, defaults)


def _children(spec: Any) -> list[Any]:
    """Those of a tree; before torch 2.10 they were an attribute."""
    return list(spec.children() if hasattr(spec, "children") else spec.children_specs)


def _body(module: GraphModule, taken: Sequence[str] | None = None) -> Body:
    """The steps of a graph; the inputs are those that the caller gives, else all of them."""
    attributes: dict[str, Any] = {}
    steps: list[Step] = []
    inputs: list[str] = []
    given: Any = ()

    def told(value: Any) -> Any:
        return attributes.get(value.name, Ref(value.name)) if isinstance(value, Node) else value

    for node in module.graph.nodes:
        if node.op == "placeholder":
            inputs.append(node.name)
        elif node.op == "get_attr":
            held = attrgetter(str(node.target))(module)
            attributes[node.name] = _body(held) if isinstance(held, GraphModule) else _plain(held)
        elif node.op == "output":
            given = node.args[0]
        else:
            steps.append(_step(node, told))
    single = isinstance(given, Node)
    outputs = [told(value) for value in ([given] if single else given)]
    return Body(tuple(inputs if taken is None else taken), tuple(steps), tuple(outputs), single)


def _plain(held: Any) -> Any:
    """What a program holds besides graphs."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    if isinstance(held, torch.Tensor) and wrapped(held):
        raise SpecError(
            "the exported program holds a tensor inside of a transformation of torch.func, which "
            "cannot be followed; give the module that was exported"
        )
    return held


def _step(node: Node, told: Any) -> Step:
    function: Any = node.target
    if isinstance(function, torch._ops.HigherOrderOperator):
        function = Control(str(function))
    arguments: Any = torch.fx.node.map_aggregate(node.args, told)
    named: Any = torch.fx.node.map_aggregate(node.kwargs, told)
    layers = _layers(node.meta.get("nn_module_stack") or {})
    source = source_of(node.meta.get("stack_trace") or "")
    return Step(function, tuple(arguments), dict(named), node.name, layers, source)


def _layers(stack: Mapping[str, tuple[str, Any]]) -> tuple[Layer, ...]:
    found = (
        layer_of(key, path, kind if isinstance(kind, str) else kind.__qualname__)
        for key, (path, kind) in stack.items()
    )
    return tuple(layer for layer in found if layer is not None)
