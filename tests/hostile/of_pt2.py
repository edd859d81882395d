"""Programs of torch.export (.pt2): JSON with operators by name, tensors by shape, pickles aside."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import payloads, zips
from hostile.case import Expected, Family, Place
from hostile.zips import DEFLATED, Member

FAMILY = Family(".pt2")

Json = dict[str, Any]
FLOAT, INT64 = 7, 5
PROGRAM = "m/models/model.json"
WEIGHTS = "m/data/weights/model_weights_config.json"
CONSTANTS = "m/data/constants/model_constants_config.json"


def sizes(*lengths: int) -> list[Json]:
    """Lengths as torch.export states them."""
    return [{"as_int": length} for length in lengths]


def meta(*shape: int, dtype: int = FLOAT) -> Json:
    """What is stated of a contiguous tensor."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.insert(0, step)
        step *= length
    return {
        "dtype": dtype,
        "sizes": sizes(*shape),
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": sizes(*strides),
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def node(target: str, result: str, layer: str = "", **arguments: Json) -> Json:
    """One operator."""
    stack = f"L__self__,,net.Net;L__self___{layer},{layer},torch.nn.modules.batchnorm.BatchNorm2d"
    return {
        "target": target,
        "inputs": [{"name": name, "arg": arg, "kind": 1} for name, arg in arguments.items()],
        "outputs": [{"as_tensor": {"name": result}}],
        "metadata": {"nn_module_stack": stack, "stack_trace": ""} if layer else {},
    }


def ref(name: str) -> Json:
    """A tensor by its name."""
    return {"as_tensor": {"name": name}}


HELD = ("weight", "bias", "running_mean", "running_var")


def program() -> Json:
    """A batch normalization and a sum."""
    told = {f"p_{name}": meta(4) for name in HELD} | {"x": meta(2, 4, 6, 6), "k": meta(4)}
    parameters = {name: ref(f"p_{name}") for name in HELD}
    settings: dict[str, Json] = {
        "training": {"as_bool": False},
        "momentum": {"as_float": 0.1},
        "eps": {"as_float": 1e-5},
        "cudnn_enabled": {"as_bool": False},
    }
    nodes = [
        node("torch.ops.aten.relu.default", "relu", self=ref("x")),
        node(
            "torch.ops.aten.batch_norm.default",
            "y",
            "bn",
            input=ref("relu"),
            **parameters,
            **settings,
        ),
        node("torch.ops.aten.add.Tensor", "z", self=ref("y"), other=ref("relu")),
    ]
    leaf = {"type": None, "context": None, "children_spec": []}
    row = {"type": "builtins.tuple", "context": "null", "children_spec": [leaf]}
    none = {"type": "builtins.dict", "context": "[]", "children_spec": []}
    both = {"type": "builtins.tuple", "context": "null", "children_spec": [row, none]}
    held: list[Json] = [
        {"parameter": {"arg": {"name": f"p_{name}"}, "parameter_name": f"bn.{name}"}}
        for name in HELD[:2]
    ]
    held += [
        {"buffer": {"arg": {"name": f"p_{name}"}, "buffer_name": f"bn.{name}", "persistent": True}}
        for name in HELD[2:]
    ]
    return {
        "graph_module": {
            "graph": {
                "inputs": [*(ref(f"p_{name}") for name in HELD), ref("x")],
                "outputs": [ref("z")],
                "nodes": nodes,
                "tensor_values": told,
                "sym_int_values": {},
                "sym_bool_values": {},
                "is_single_tensor_return": False,
            },
            "signature": {
                "input_specs": [*held, {"user_input": {"arg": ref("x")}}],
                "output_specs": [{"user_output": {"arg": ref("z")}}],
            },
            "module_call_graph": [
                {
                    "fqn": "",
                    "signature": {
                        "inputs": [ref("x")],
                        "outputs": [ref("z")],
                        "in_spec": json.dumps([1, both]),
                        "out_spec": json.dumps([1, leaf]),
                        "forward_arg_names": ["x"],
                    },
                }
            ],
        },
        "opset_version": {"aten": 10},
        "range_constraints": {},
        "schema_version": {"major": 8, "minor": 8},
    }


def weights() -> Json:
    """What is stated of the tensors in the file."""
    return {
        "config": {
            f"bn.{name}": {
                "path_name": f"weight_{number}",
                "is_param": number < 2,
                "use_pickle": False,
                "tensor_meta": meta(4),
            }
            for number, name in enumerate(HELD)
        }
    }


def members(
    model: Any = None, held: Any = None, constants: Any = None, **others: bytes
) -> list[Member]:
    """What is in the file."""

    def text(value: Any) -> bytes:
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    parts = {
        PROGRAM: text(program() if model is None else model),
        WEIGHTS: text(weights() if held is None else held),
        CONSTANTS: text({"config": {}} if constants is None else constants),
        **{
            f"m/data/weights/weight_{number}": struct.pack("<4f", *[1.0 + number] * 4)
            for number in range(4)
        },
        "m/archive_format": b"pt2",
        "m/archive_version": b"1",
        "m/byteorder": b"little",
        **others,
    }
    return [Member(name, data) for name, data in parts.items()]


def file(place: Place, *arguments: Any, **others: Any) -> Path:
    """The file of a case."""
    return place.file("m.pt2", zips.archive(members(*arguments, **others)))


# --- good ones ------------------------------------------------------------------------------------


@FAMILY.good("a batch normalization", "bn")
def _plain(place: Place) -> Path:
    return file(place)


@FAMILY.good("with pickles beside the program", "bn")
def _pickles(place: Place) -> Path:
    return file(place, **{"m/data/sample_inputs/model.pt": payloads.pickled(place)})


@FAMILY.good("another ending, with a file above its folder", "bn")
def _ending(place: Place) -> Path:
    own = [*members(), Member("../../outside/x", b"x"), Member("m/extra/x.py", b"raise 1")]
    return place.file("m.bin", zips.archive(own))


@FAMILY.good("a free length", "bn")
def _free(place: Place) -> Path:
    model = program()
    graph = model["graph_module"]["graph"]
    symbol = {"expr_str": "Symbol('s0', positive=True, integer=True)", "hint": {"as_int": 3}}
    graph["tensor_values"]["x"]["sizes"][0] = {"as_expr": symbol}
    model["range_constraints"] = {"s0": {"min_val": 2, "max_val": None}}
    return file(place, model)


# --- the archive ----------------------------------------------------------------------------------


@FAMILY.hostile("members deflated", "compressed")
def _deflated(place: Place) -> Path:
    own = members()
    for one in own:
        one.method = DEFLATED
    return place.file("m.pt2", zips.archive(own))


@FAMILY.hostile("a bomb as the program")
def _bomb(place: Place) -> Path:
    own = [one for one in members() if one.name != PROGRAM]
    own.append(Member(PROGRAM, b" " * 2**28, DEFLATED))
    return place.file("m.pt2", zips.archive(own))


@FAMILY.hostile("a program of 2**31 bytes, by the list")
def _huge_member(place: Place) -> Path:
    own = members()
    own[0].size = own[0].packed = 2**31 - 1
    return place.file("m.pt2", zips.archive(own))


@FAMILY.hostile("the program is a link")
def _link(place: Place) -> Path:
    own = members()
    own[0] = Member(PROGRAM, b"../../../outside/secret", attributes=zips.SYMLINK)
    return place.file("m.pt2", zips.archive(own))


@FAMILY.hostile("two programs")
def _two(place: Place) -> Path:
    return file(place, **{"m/models/other.json": b"{}"})


@FAMILY.hostile("machine code of AOTInductor", "AOTInductor")
def _compiled(place: Place) -> Path:
    library = Member("m/data/aotinductor/model/x.so", b"\x7fELF" + bytes(100))
    own = [library, Member("m/archive_format", b"pt2")]
    return place.file("m.pt2", zips.archive(own))


@FAMILY.odd("machine code beside the program")
def _compiled_beside(place: Place) -> Path:
    return file(place, **{"m/data/aotinductor/model/x.so": b"\x7fELF" + bytes(100)})


@FAMILY.hostile("the older form, of pickles", "torch.export")
def _older(place: Place) -> Path:
    own = [
        Member("serialized_exported_program.json", b"{}"),
        Member("serialized_state_dict.pt", payloads.pickled(place)),
        Member("version", b"7.1"),
    ]
    return place.file("m.pt2", zips.archive(own))


# --- texts ----------------------------------------------------------------------------------------

_TEXTS: dict[str, bytes] = {
    "empty": b"",
    "a list": b"[]",
    "an empty object": b"{}",
    "null": b"null",
    "cut off": b'{"graph_module": {"graph"',
    "lists in lists": b"[" * 200_000,
    "objects in objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a key twice": b'{"schema_version": 1, "schema_version": 2}',
    "NaN": b'{"schema_version": NaN}',
    "an integer of a million digits": b'{"schema_version": ' + b"1" * 10**6 + b"}",
    "three million values": b"[" + b"1," * 3_000_000 + b"1]",
    "not UTF-8": b"\xff\xfe{",
    "lone surrogates": b'{"schema_version": {"major": "\\ud800"}}',
    "NUL": b'{"a": "\\u0000"}\0',
    "an escape": b"\x1b[2J\x1b]0;owned\x07",
}


def _text_cases() -> None:
    for name, text in _TEXTS.items():
        FAMILY.add(f"its program is {name}", lambda place, text=text: file(place, text))
    for name in ("empty", "a list", "an empty object", "cut off", "lists in lists", "NaN"):
        text = _TEXTS[name]
        FAMILY.add(f"its list of weights is {name}", lambda place, t=text: file(place, None, t))
    for name in ("empty", "a list", "an empty object", "cut off"):
        text = _TEXTS[name]
        FAMILY.add(
            f"its list of constants is {name}", lambda place, t=text: file(place, None, None, t)
        )


_text_cases()


# --- tensors --------------------------------------------------------------------------------------


def _of_weight(**changes: Any) -> Callable[[Place], Path]:
    def write(place: Place) -> Path:
        held = weights()
        entry = held["config"]["bn.running_var"]
        for key, value in changes.items():
            (entry if key in entry else entry["tensor_meta"])[key] = value
        return file(place, None, held)

    return write


_WEIGHTS: dict[str, dict[str, Any]] = {
    "a path upwards": {"path_name": "../../../../outside/secret"},
    "an absolute path": {"path_name": "/etc/passwd"},
    "a path to the program": {"path_name": "../../models/model.json"},
    "no path": {"path_name": None},
    "a path with NUL": {"path_name": "weight_0\0"},
    "a path of 1 MB": {"path_name": "x" * 10**6},
    "pickled": {"use_pickle": True},
    "perhaps pickled": {"use_pickle": "no"},
    "of no shape": {"tensor_meta": None},
    "a dtype that is not known": {"dtype": 99},
    "a dtype of larger numbers": {"dtype": 8},
    "a dtype that is a text": {"dtype": "os.system"},
    "longer than its bytes": {"sizes": sizes(5)},
    "of length -1": {"sizes": sizes(-1)},
    "of length 2**62": {"sizes": sizes(2**62), "strides": sizes(0)},
    "of length 2**40, stride 0": {"sizes": sizes(2**40), "strides": sizes(0)},
    "of length 2**28, stride 0": {"sizes": sizes(2**28), "strides": sizes(0)},
    "of 2**40 by 2**40, stride 0": {"sizes": sizes(2**40, 2**40), "strides": sizes(0, 0)},
    "of 60 axes": {"sizes": sizes(*[1] * 60), "strides": sizes(*[1] * 60)},
    "of 10,000 axes": {"sizes": sizes(*[1] * 10_000), "strides": sizes(*[1] * 10_000)},
    "stride 2**62": {"strides": sizes(2**62)},
    "stride -1": {"strides": sizes(-1)},
    "stride 2": {"strides": sizes(2)},
    "an offset of 1": {"storage_offset": {"as_int": 1}},
    "an offset of -1": {"storage_offset": {"as_int": -1}},
    "an offset of 2**63": {"storage_offset": {"as_int": 2**63}},
    "a length that is a formula": {"sizes": [{"as_expr": {"expr_str": "__import__('os')"}}]},
    "a length that is a text": {"sizes": [{"as_int": "4"}]},
    "a length that is true": {"sizes": [{"as_int": True}]},
    "another layout": {"layout": 1},
    "on another machine": {"device": {"type": "cuda", "index": 99}},
}


def _weight_cases() -> None:
    for name, changes in _WEIGHTS.items():
        expected = Expected.EITHER if "machine" in name else Expected.REFUSED
        FAMILY.add(f"a weight: {name}", _of_weight(**changes), expected)


_weight_cases()


@FAMILY.hostile("a weight is missing", "missing")
def _missing(place: Place) -> Path:
    held = weights()
    del held["config"]["bn.bias"]
    return file(place, None, held)


@FAMILY.odd("a constant that is pickled")
def _pickled_constant(place: Place) -> Path:
    entry = {"path_name": "c", "is_param": False, "use_pickle": True, "tensor_meta": None}
    evil = payloads.pickled(place)
    return file(place, None, None, {"config": {"c": entry}}, **{"m/data/constants/c": evil})


@FAMILY.odd("a hundred thousand weights at one place")
def _many(place: Place) -> Path:
    held = weights()
    entry = held["config"]["bn.bias"]
    held["config"] |= {f"w{number}": entry for number in range(20_000)}
    return file(place, None, held)


# --- the program ----------------------------------------------------------------------------------

Change = Callable[[Json], None]


def _changed(change: Change) -> Callable[[Place], Path]:
    def write(place: Place) -> Path:
        model = program()
        change(model)
        return file(place, model)

    return write


def _calls(target: str) -> Change:
    def change(model: Json) -> None:
        model["graph_module"]["graph"]["nodes"][0]["target"] = target

    return change


_TARGETS = (
    *("os.system", "builtins.eval", "builtins.exec", "builtins.__import__", "subprocess.run"),
    *("normscope_canary.Fire", "torch.load", "torch.hub.load", "torch.ops.load_library"),
    *("torch.ops.aten.from_file.default", "torch.ops.aten.save.default", "_operator.pow"),
    *("torch.ops.aten.set_.source_Storage", "torch.ops.aten.resize_.default", "_operator.lshift"),
    *("torch.ops.aten.add.__init__", "torch.ops.aten.__class__.__call__", "_operator.attrgetter"),
    *("torch.ops.profiler._record_function_enter.default", "torch.ops.mylib.run.default"),
    *("torch.ops.higher_order.triton_kernel_wrapper_mutation", "torch.ops.higher_order.flex"),
    *("torch.ops.higher_order.call_torchbind", "torch.ops.prim.Print.default", "", "\x1b[2J"),
    *("torch.ops.aten.\u202e.default", "torch.ops.aten.add.Tensor\n", "math.factorial"),
    *("torch.ops.c10d.all_reduce.default", "torch.ops.rpc.remote.default", "x" * 10**6),
)


def _target_cases() -> None:
    for target in _TARGETS:
        FAMILY.add(f"runs {target[:60]!r}", _changed(_calls(target)), said="not a known operator")


_target_cases()


def _graph(model: Json) -> Json:
    found: Json = model["graph_module"]["graph"]
    return found


def _first(target: str, arguments: Json, result: str = "many") -> Change:
    """One more operator before all others, whose result is added at the end."""

    def change(model: Json) -> None:
        graph = _graph(model)
        graph["nodes"].insert(0, node(target, result, **arguments))
        graph["nodes"].append(
            node("torch.ops.aten.add.Tensor", "last", self=ref("z"), other=ref(result))
        )
        graph["outputs"] = [ref("last")]

    return change


def _repeated(target: str, count: int, arguments: Json) -> Change:
    """Operators one after the other, each of the result before."""

    def change(model: Json) -> None:
        nodes, last = _graph(model)["nodes"], "z"
        for number in range(count):
            nodes.append(node(target, f"n{number}", self=ref(last), **arguments))
            last = f"n{number}"
        _graph(model)["outputs"] = [ref(last)]

    return change


def _kept(count: int, length: int) -> Change:
    """Arrays that are all there at once."""

    def change(model: Json) -> None:
        graph = _graph(model)
        names = [f"big{number}" for number in range(count)]
        for name in names:
            graph["nodes"].append(
                node("torch.ops.aten.full.default", name, size=_ints(length), value=_one())
            )
        last = "z"
        for name in names:
            graph["nodes"].append(node("torch.ops.aten.sum.default", f"{name}_sum", self=ref(name)))
            graph["nodes"].append(
                node(
                    "torch.ops.aten.add.Tensor",
                    f"{name}_add",
                    self=ref(last),
                    other=ref(f"{name}_sum"),
                )
            )
            last = f"{name}_add"
        graph["outputs"] = [ref(last)]

    return change


def _ints(*values: int) -> Json:
    return {"as_ints": list(values)}


def _one() -> Json:
    return {"as_float": 1.0}


def _set(*path: str | int, to: Any) -> Change:
    """A value in the program that is another."""

    def change(model: Json) -> None:
        where: Any = model
        for key in path[:-1]:
            where = where[key]
        where[path[-1]] = copy.deepcopy(to)

    return change


def _x_of(*lengths: int, dtype: int = FLOAT) -> Change:
    return _set("graph_module", "graph", "tensor_values", "x", to=meta(*lengths, dtype=dtype))


def _symbol(text: Any, hint: Any = 2) -> Change:
    size = {"as_expr": {"expr_str": text, "hint": {"as_int": hint}}}
    return _set("graph_module", "graph", "tensor_values", "x", "sizes", 0, to=size)


def _nested(depth: int) -> Change:
    """Branches in branches."""

    def change(model: Json) -> None:
        inner = {"inputs": [], "outputs": [ref("x")], "nodes": [], "tensor_values": {}}
        for _ in range(depth):
            graph = {"as_graph": {"name": "g", "graph": inner}}
            step = node("torch.ops.higher_order.wrap", "w", body=graph)
            inner = {"inputs": [], "outputs": [ref("w")], "nodes": [step], "tensor_values": {}}
        _graph(model)["nodes"] += inner["nodes"]

    return change


def _doubling(depth: int) -> Change:
    """Each body runs the one inside twice; the text is short, what runs is not."""

    def change(model: Json) -> None:
        inner: Json = {
            "inputs": [ref("a")],
            "outputs": [ref("b")],
            "nodes": [node("torch.ops.aten.relu.default", "b", self=ref("a"))],
            "tensor_values": {},
            "is_single_tensor_return": True,
        }
        for _ in range(depth):
            graph = {"as_graph": {"name": "g", "graph": inner}}
            steps = [
                node("torch.ops.higher_order.scan", "b", body=graph, a=ref("a")),
            ]
            inner = {**inner, "nodes": steps}
        _graph(model)["nodes"] += inner["nodes"]

    return change


_NODES = ("graph_module", "graph", "nodes")
_SIGNATURE = ("graph_module", "signature")
_CALL = ("graph_module", "module_call_graph", 0, "signature")

_PROGRAMS: dict[str, Change] = {
    "an array of 2**40": _first("torch.ops.aten.zeros.default", {"size": _ints(2**40)}),
    "an array of 2**62": _first("torch.ops.aten.zeros.default", {"size": _ints(2**62)}),
    "an array of 2**29": _first("torch.ops.aten.zeros.default", {"size": _ints(2**29)}),
    "an array of -1": _first("torch.ops.aten.zeros.default", {"size": _ints(-1)}),
    "an array of 100,000 axes": _first(
        "torch.ops.aten.zeros.default", {"size": _ints(*[1] * 100_000)}
    ),
    "a range of 2**40": _first("torch.ops.aten.arange.default", {"end": {"as_int": 2**40}}),
    "an eye of 2**20": _first("torch.ops.aten.eye.default", {"n": {"as_int": 2**20}}),
    "a repetition of 2**30": _repeated(
        "torch.ops.aten.repeat.default", 1, {"repeats": _ints(2**30, 1, 1, 1)}
    ),
    "30 doublings": _repeated("torch.ops.aten.repeat.default", 30, {"repeats": _ints(2, 1, 1, 1)}),
    "an expansion of 2**30": _repeated(
        "torch.ops.aten.expand.default", 1, {"size": _ints(2**30, 2, 4, 6, 6)}
    ),
    "padding of 2**30": _repeated(
        "torch.ops.aten.constant_pad_nd.default", 1, {"pad": _ints(0, 2**30)}
    ),
    "upsampling of 2**20": _repeated(
        "torch.ops.aten.upsample_nearest2d.vec",
        1,
        {"output_size": _ints(2**20, 2**20), "scale_factors": {"as_none": True}},
    ),
    "one hot of 2**40": _repeated(
        "torch.ops.aten.one_hot.default", 1, {"num_classes": {"as_int": 2**40}}
    ),
    "a view beyond its bytes": _repeated(
        "torch.ops.aten.as_strided.default",
        1,
        {"size": _ints(2**20, 2**10), "stride": _ints(1, 1), "storage_offset": {"as_int": 2**40}},
    ),
    "a view of 2**40, stride 0": _repeated(
        "torch.ops.aten.as_strided.default", 1, {"size": _ints(2**40), "stride": _ints(0)}
    ),
    "40 arrays of 200 MB at once": _kept(40, 50 * 10**6),
    "10 arrays of 400 MB at once": _kept(10, 10**8),
    "2,000 operators": _repeated("torch.ops.aten.relu.default", 2_000, {}),
    "a chain that comes back": _set(*_NODES, 0, "inputs", 0, "arg", to=ref("z")),
    "a step that takes its own result": _set(*_NODES, 0, "inputs", 0, "arg", to=ref("relu")),
    "a name of nothing": _set(*_NODES, 0, "inputs", 0, "arg", to=ref("nothing")),
    "an empty name": _set(*_NODES, 0, "inputs", 0, "arg", to=ref("")),
    "a name of 1 MB": _set(*_NODES, 0, "inputs", 0, "arg", to=ref("x" * 10**6)),
    "an argument of no form": _set(*_NODES, 0, "inputs", 0, "arg", to={}),
    "an argument of two forms": _set(
        *_NODES, 0, "inputs", 0, "arg", to={"as_int": 1, "as_float": 1.0}
    ),
    "an object as an argument": _set(
        *_NODES, 0, "inputs", 0, "arg", to={"as_custom_obj": {"name": "o", "class_fqn": "os.P"}}
    ),
    "an operator as an argument": _set(
        *_NODES, 0, "inputs", 0, "arg", to={"as_operator": "torch.ops.aten.from_file"}
    ),
    "an integer of 400 digits": _set(*_NODES, 2, "inputs", 1, "arg", to={"as_int": 10**400}),
    "a float of 400 digits": _set(*_NODES, 1, "inputs", 7, "arg", to={"as_float": 10**400}),
    "a float that is a text": _set(*_NODES, 1, "inputs", 7, "arg", to={"as_float": "__import__"}),
    "an eps of NaN": _set(*_NODES, 1, "inputs", 7, "arg", to={"as_float": "NaN"}),
    "an eps of -1": _set(*_NODES, 1, "inputs", 7, "arg", to={"as_float": -1.0}),
    "an eps of infinity": _set(*_NODES, 1, "inputs", 7, "arg", to={"as_float": "Infinity"}),
    "no arguments": _set(*_NODES, 1, "inputs", to=[]),
    "steps that are null": _set(*_NODES, to=[None] * 10),
    "no steps": _set(*_NODES, to=[]),
    "no outputs": _set("graph_module", "graph", "outputs", to=[]),
    "a thousand outputs": _set("graph_module", "graph", "outputs", to=[ref("z")] * 1000),
    "no inputs": _set("graph_module", "graph", "inputs", to=[]),
    "no call": _set("graph_module", "module_call_graph", to=[]),
    "no signature": _set(*_SIGNATURE, "input_specs", to=[]),
    "a token": _set(*_SIGNATURE, "input_specs", 0, to={"token": {"arg": {"name": "t"}}}),
    "an object as an input": _set(
        *_SIGNATURE, "input_specs", 0, to={"custom_obj": {"arg": {"name": "o"}}}
    ),
    "arguments nested 200 deep": _set(
        *_CALL,
        "in_spec",
        to='[1, {"type": "builtins.tuple", "context": "null", "children_spec": ['
        + '{"type": "builtins.list", "context": "null", "children_spec": [' * 200
        + "]}" * 200
        + "]}]",
    ),
    "arguments nested 100,000 deep": _set(*_CALL, "in_spec", to="[" * 100_000),
    "arguments of a class": _set(
        *_CALL,
        "in_spec",
        to='[1, {"type": "normscope_canary.Fire", "context": "x", "children_spec": []}]',
    ),
    "a pickle as its arguments": _set(
        *_CALL, "in_spec", to='[1, {"type": "torch.Size", "context": "gASV", "children_spec": []}]'
    ),
    "more arguments than inputs": _set(*_CALL, "forward_arg_names", to=["a", "b"] * 1000),
    "an argument named as no argument can be": _set(*_CALL, "forward_arg_names", to=["x y\x1b[1m"]),
    "an argument named by a word of Python": _set(*_CALL, "forward_arg_names", to=["class"]),
    "an output that is missing": _set("graph_module", "graph", "outputs", 0, to=ref("q")),
    "an input of 2**40": _x_of(2**40, 4, 6, 6),
    "an input of 2**30": _x_of(2**20, 4, 2**4, 2**4),
    "an input of -2": _x_of(-2, 4, 6, 6),
    "an input of 0": _x_of(0, 4, 6, 6),
    "an input of 5,000 axes": _x_of(*[1] * 5000),
    "an input of a dtype that is not known": _x_of(2, 4, 6, 6, dtype=77),
    "an input of quantized numbers": _x_of(2, 4, 6, 6, dtype=31),
    "a length that is code": _symbol("__import__('os').system('touch fired')"),
    "a length that is a long formula": _symbol("(" * 100_000 + "1" + ")" * 100_000),
    "a length whose pattern is slow": _symbol("Symbol('" + "a" * 10**6),
    "a length that is a number": _symbol(17),
    "a length of 2**40 at export": _symbol("Symbol('s0', integer=True)", 2**40),
    "a length of -5 at export": _symbol("Symbol('s0', integer=True)", -5),
    "a length of a text at export": _symbol("Symbol('s0', integer=True)", "2"),
    "branches in branches": _nested(40),
    "90 branches in branches": _nested(90),
    "a scan in scans": _doubling(12),
    "a branch that is a text": _first(
        "torch.ops.higher_order.wrap", {"body": {"as_graph": {"name": "g", "graph": "x"}}}
    ),
    "a loop that never ends": _first(
        "torch.ops.higher_order.while_loop",
        {
            "cond_fn": {
                "as_graph": {
                    "name": "c",
                    "graph": {
                        "inputs": [ref("a")],
                        "outputs": [{"as_bool": True}],
                        "nodes": [],
                        "tensor_values": {},
                        "is_single_tensor_return": True,
                    },
                }
            },
            "body_fn": {
                "as_graph": {
                    "name": "b",
                    "graph": {
                        "inputs": [ref("a")],
                        "outputs": [ref("a")],
                        "nodes": [],
                        "tensor_values": {},
                    },
                }
            },
            "carried": {"as_tensors": [{"name": "x"}]},
            "same": {"as_tensors": []},
        },
    ),
    "integers that grow": _set(
        *_NODES,
        to=[
            {**node("_operator.mul", f"i{n}", a=ref(f"i{n - 1}"), b=ref(f"i{n - 1}"))}
            for n in range(1, 200)
        ],
    ),
    "a version of a text": _set("schema_version", to="\x1b[2J"),
    "a version of 10**30": _set("schema_version", to={"major": 10**30}),
}


def _program_cases() -> None:
    readable = ("an eps", "2,000", "an input of", "a length", "no outputs", "a thousand", "a view")
    readable += ("branches in", "more arguments", "an argument named", "arguments of", "a pickle")
    readable += ("no inputs", "an array", "arrays", "padding", "a scan", "no steps")
    for name, change in _PROGRAMS.items():
        odd = name.startswith(readable) or "arrays" in name or "a repetition" in name
        expected = Expected.EITHER if odd else Expected.REFUSED
        FAMILY.add(f"the program: {name}", _changed(change), expected)


_program_cases()


@FAMILY.good("names with escapes and markup", "\\x1b")
def _names(place: Place) -> Path:
    model = program()
    stack = "L__self__,,N;L\x1b,b\x1b[2J\n[bold]\u202e<script>,torch.nn.BatchNorm2d"
    _graph(model)["nodes"][1]["metadata"]["nn_module_stack"] = stack
    return file(place, model)


@FAMILY.odd("a layer of 10 MB")
def _long_name(place: Place) -> Path:
    model = program()
    stack = f"L__self__,,N;L__self___bn,{'b' * 10**7},torch.nn.BatchNorm2d"
    _graph(model)["nodes"][1]["metadata"]["nn_module_stack"] = stack
    return file(place, model)


@FAMILY.odd("a trace of 5 MB")
def _long_trace(place: Place) -> Path:
    model = program()
    trace = 'File "' + "a/" * 10**6 + '.py", line 3, in forward\n' * 50_000
    _graph(model)["nodes"][1]["metadata"]["stack_trace"] = trace
    return file(place, model)


@FAMILY.odd("a source in another folder")
def _source(place: Place) -> Path:
    model = program()
    trace = f'File "{place.outside}/normscope_canary.py", line 1, in forward\n    x'
    _graph(model)["nodes"][1]["metadata"]["stack_trace"] = trace
    return file(place, model)
