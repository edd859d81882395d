"""The program in a .pt2 file, as a `Program`: its operators are known ones, or it is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from normscope.errors import ModelFileError, missing_package
from normscope.files.exported_program import DTYPES, ExportedFile, StoredTensor, read_exported
from normscope.files.stored_array import MAX_RANK

try:
    import torch
except ModuleNotFoundError as missing:
    raise missing_package(missing, "a .pt2 file") from missing

from normscope.frameworks.torch.exported.allowed import operator_called
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
from normscope.frameworks.torch.exported.trees import Tree, tree_of
from normscope.wording import one_line

_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
MAX_LIST = 4096
"""Numbers in one argument: lengths, axes, places."""

_OF_TENSORS = ("as_tensors", "as_optional_tensors", "as_nested_tensors")
_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def program_in(path: Path) -> Program:
    """The program in a file. Nothing of the file is run.

    Raises:
        ModelFileError: the file cannot be read, is damaged, or its program does what is not known.
    """
    file = read_exported(str(path))
    try:
        return _Reading(file).program()
    # whatever Python and torch raise of a JSON that anybody wrote
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        if isinstance(error, ModelFileError):
            raise
        said = one_line(error, 100)
        raise ModelFileError(str(path), f"a damaged program ({said})") from error


class _Reading:
    """One file, turned into a program."""

    def __init__(self, file: ExportedFile) -> None:
        self.file = file
        self.module = file.program["graph_module"]
        self.graph = self.module["graph"]

    def error(self, reason: str) -> ModelFileError:
        """The error that names this file."""
        return ModelFileError(self.file.path, reason)

    def program(self) -> Program:
        """All of it."""
        held: dict[str, torch.Tensor] = {}
        names: dict[str, str] = {}
        taken: list[Taken] = []
        for spec in self.module["signature"]["input_specs"]:
            ((kind, one),) = spec.items()
            if kind in ("user_input", "constant_input"):
                taken.append(self._taken(kind, one))
            else:
                name, path = self._path(kind, one)
                names[name], held[path] = path, self._held(path)
        written, outputs = self._outputs()
        call = self.module["module_call_graph"][0]["signature"]
        in_tree, out_tree = (tree_of(json.loads(call[key])) for key in ("in_spec", "out_spec"))
        positional, named = in_tree.children
        order = list(call.get("forward_arg_names") or ())[: len(positional.children)]
        if len(order) < len(positional.children):
            order = [f"x{number}" for number in range(len(positional.children))]
        by_name = [str(key) for key in named.keys]
        return Program(
            body=self._body(self.graph, tuple(one.name for one in taken)),
            taken=tuple(taken),
            held=held,
            names=names,
            written=written,
            outputs=outputs,
            signature=call_signature(order, by_name, _defaults(in_tree, order, taken)),
            flattened=lambda arguments, given: in_tree.leaves((tuple(arguments), dict(given))),
            unflattened=in_tree.built,
            built=out_tree.built,
            untrusted=True,
        )

    # --- what goes in and comes out -------------------------------------------------------------

    def _taken(self, kind: str, one: Mapping[str, Any]) -> Taken:
        if kind == "constant_input":
            return Taken(_word(one["name"]), value=self._value(one["value"]))
        ((form, value),) = one["arg"].items()
        if form != "as_tensor":
            if form == "as_sym_int":
                raise self.error("it takes an integer that is free, which is not followed")
            return Taken("constant", value=self._value(one["arg"]))
        name = _word(value["name"])
        meta = self.graph["tensor_values"][name]
        if len(meta["sizes"]) > MAX_RANK:
            raise self.error(f"the input {name!r:.60} has more than {MAX_RANK} axes")
        shape = tuple(map(self._size, meta["sizes"]))
        return Taken(name, shape, _dtype(meta["dtype"]))

    def _size(self, size: Mapping[str, Any]) -> int | Size:
        ((form, value),) = size.items()
        if form == "as_int":
            return _length(value)
        hint = value.get("hint") or {}
        at_export = _length(hint.get("as_int", 4))
        symbol = re.fullmatch(r"Symbol\('(\w+)'[^()]*\)", value["expr_str"])
        if symbol is None:  # computed from others
            return Size(at_export, free=False)
        allowed = self.file.program.get("range_constraints", {}).get(symbol[1], {})
        least = max(0, _integer(allowed.get("min_val") or 0))
        return Size(max(at_export, least), least)

    def _path(self, kind: str, one: Mapping[str, Any]) -> tuple[str, str]:
        key = {
            "parameter": "parameter_name",
            "buffer": "buffer_name",
            "tensor_constant": "tensor_constant_name",
        }.get(kind)
        if key is None:
            raise self.error(f"it holds a {kind[:40]}, which is no tensor, and is not followed")
        return _word(one["arg"]["name"]), str(one[key])

    def _held(self, path: str) -> torch.Tensor:
        stored = self.file.weights.get(path, self.file.constants.get(path))
        if stored is None:
            why = "is no plain tensor" if path in self.file.left_out else "is missing"
            raise self.error(f"the tensor {path!r:.60} {why}")
        return _tensor(stored)

    def _outputs(self) -> tuple[dict[str, int], tuple[int, ...]]:
        written: dict[str, int] = {}
        outputs: list[int] = []
        for number, spec in enumerate(self.module["signature"]["output_specs"]):
            ((kind, one),) = spec.items()
            if kind in ("user_output", "loss_output"):
                outputs.append(number)
            elif kind in ("buffer_mutation", "parameter_mutation"):
                written[str(one[kind.replace("mutation", "name")])] = number
        return written, tuple(outputs)

    # --- steps ----------------------------------------------------------------------------------

    def _body(self, graph: Mapping[str, Any], inputs: tuple[str, ...] | None = None) -> Body:
        if inputs is None:
            inputs = tuple(_word(_only(one)["name"]) for one in graph["inputs"])
        steps = tuple(map(self._step, graph["nodes"]))
        outputs = tuple(map(self._value, graph["outputs"]))
        return Body(inputs, steps, outputs, graph.get("is_single_tensor_return") is True)

    def _step(self, node: Mapping[str, Any]) -> Step:
        function = operator_called(str(node["target"]))
        if function is None:
            raise self.error(f"it runs {str(node['target'])!r:.80}, which is not a known operator")
        arguments, named = [], {}
        for one in node["inputs"]:
            value = self._value(one["arg"])
            if one.get("kind") == 2:
                named[_word(one["name"])] = value
            else:
                arguments.append(value)
        metadata = node.get("metadata") or {}
        return Step(
            function,
            tuple(arguments),
            named,
            self._results(node, isinstance(function, Control)),
            _layers(str(metadata.get("nn_module_stack") or "")),
            source_of(str(metadata.get("stack_trace") or "")),
        )

    def _results(self, node: Mapping[str, Any], control: bool) -> Any:
        names = [_result(one) for one in node["outputs"]]
        single = len(names) == 1 and isinstance(names[0], str)
        if control and single and node.get("is_hop_single_tensor_return") is False:
            return tuple(names)
        return names[0] if len(names) == 1 else tuple(names) or None

    def _value(self, argument: Mapping[str, Any]) -> Any:
        """An argument of a step."""
        ((form, value),) = argument.items()
        if isinstance(value, list) and len(value) > MAX_LIST and form not in _OF_TENSORS:
            raise self.error(f"an argument of its operators has {len(value)} parts")
        match form:
            case "as_none":
                return None
            case "as_tensor":
                return Ref(_word(value["name"]))
            case "as_tensors":
                return [Ref(_word(one["name"])) for one in value]
            case "as_nested_tensors":
                return [[Ref(_word(one["name"])) for one in part] for part in value]
            case "as_optional_tensor":
                return self._value(value)
            case "as_optional_tensors" | "as_sym_ints" | "as_sym_bools" | "as_sym_floats":
                return [self._value(one) for one in value]
            case "as_sym_int" | "as_sym_bool" | "as_sym_float":
                return self._value(value)
            case "as_name":
                return Ref(_word(value))
            case "as_int":
                return _integer(value)
            case "as_float":
                return _float(value)
            case "as_bool":
                return bool(value)
            case "as_string":
                return str(value)
            case "as_ints":
                return [_integer(one) for one in value]
            case "as_floats":
                return [_float(one) for one in value]
            case "as_bools":
                return [bool(one) for one in value]
            case "as_strings":
                return [str(one) for one in value]
            case "as_int_lists":
                return [[_integer(one) for one in part] for part in value]
            case "as_float_lists":
                return [[_float(one) for one in part] for part in value]
            case "as_complex":
                return complex(_float(value["real"]), _float(value["imag"]))
            case "as_scalar_type":
                return _dtype(value)
            case "as_memory_format":
                return _MEMORY_FORMATS[value]
            case "as_layout":
                return torch.strided
            case "as_device":
                return torch.device("cpu")
            case "as_graph":
                return self._body(value["graph"])
        raise self.error(f"an argument of its operators is {form[:40]!r}, which is not followed")


def _defaults(tree: Tree, order: Sequence[str], taken: Sequence[Taken]) -> dict[str, Any]:
    positional, named = tree.children
    leaves = iter(taken)
    defaults = {}
    children = [*positional.children, *named.children]
    for name, part in zip([*order, *map(str, named.keys)], children, strict=True):
        own = list(islice(leaves, part.count))
        if len(own) < part.count:
            raise ValueError("it takes more arguments than it has inputs")
        if part.kind == "leaf" and own[0].shape is None:
            defaults[name] = own[0].value
    return defaults


def _tensor(stored: StoredTensor) -> torch.Tensor:
    dtype = getattr(torch, stored.dtype)
    if not stored.data:
        found = torch.empty(stored.shape, dtype=dtype)
    else:
        size = len(stored.data) // dtype.itemsize
        row = torch.frombuffer(stored.data, dtype=dtype, count=size)
        found = row.as_strided(stored.shape, stored.strides, stored.offset)
    if not stored.trained:
        return found
    return torch.nn.Parameter(found, requires_grad=dtype.is_floating_point)


def _layers(stack: str) -> tuple[Layer, ...]:
    """The layers that "key,path,class;key,path,class" tells of."""
    found = [part.split(",") for part in stack.split(";")]
    layers = (layer_of(*part) for part in found if len(part) == 3)
    return tuple(layer for layer in layers if layer is not None)


def _result(one: Mapping[str, Any]) -> Any:
    ((form, value),) = one.items()
    if form == "as_none":
        return None
    if form in ("as_tensors", "as_optional_tensors", "as_sym_ints"):
        return tuple(map(_result_name, value))
    return _result_name(value)


def _result_name(value: Mapping[str, Any]) -> str | None:
    name = value.get("as_name", value.get("name"))
    if "as_tensor" in value:
        name = value["as_tensor"]["name"]
    return _word(name) if name else None


def _only(argument: Mapping[str, Any]) -> Any:
    (value,) = argument.values()
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise ValueError("a name that is none")
    return value


def _integer(value: object) -> int:
    if type(value) is not int or abs(value) >= 2**63:
        raise ValueError("an integer that is none")
    return value


def _length(value: object) -> int:
    if (length := _integer(value)) < 0:
        raise ValueError("a length below 0")
    return length


def _float(value: object) -> float:
    if isinstance(value, str):
        return _INFINITIES[value]
    return float(value)  # type: ignore[arg-type]


def _dtype(value: int) -> torch.dtype:
    found: torch.dtype = getattr(torch, DTYPES[value])
    return found
