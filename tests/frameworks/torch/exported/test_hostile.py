"""A .pt2 file from a stranger: nothing of it is run that is not a known operator, nor much."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import normscope as ns
from budget import budget
from frameworks.torch.exported.exported_models import exported_images, images
from normscope import ModelFileError, SpecError
from normscope.frameworks.torch.exported.allowed import operator_called

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is in the file of a program."""
    path = tmp_path_factory.mktemp("export") / "m.pt2"
    torch.export.save(exported_images()[1], path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def changed(members: dict[str, bytes], name: str, change: Change) -> dict[str, bytes]:
    value = json.loads(members[name])
    change(value)
    return members | {name: json.dumps(value).encode()}


def graph(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["graph_module"]["graph"]
    return found


def first_calls(target: str) -> Change:
    def change(value: dict[str, Any]) -> None:
        graph(value)["nodes"][0]["target"] = target

    return change


def makes_zeros(count: int) -> Change:
    """The last operator adds zeros of this size."""

    def change(value: dict[str, Any]) -> None:
        nodes = graph(value)["nodes"]
        nodes.insert(
            0,
            {
                "target": "torch.ops.aten.zeros.default",
                "inputs": [{"name": "size", "arg": {"as_ints": [count]}, "kind": 1}],
                "outputs": [{"as_tensor": {"name": "many"}}],
                "metadata": {},
            },
        )

    return change


def test_the_file_written_again_is_read(tmp_path: Path, members: dict[str, bytes]) -> None:
    assert len(ns.audit(write(tmp_path / "m.pt2", members)).layers) == 4


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.aten.max_pool2d_with_indices_backward.default",
        "torch.ops.aten.__class__.__call__",
        "torch.ops.aten.add.__init__",
        "torch.ops.profiler._record_function_enter.default",
        "torch.ops.higher_order.triton_kernel_wrapper_mutation",
        "torch.ops.mylib.run.default",
        "torch.load",
        "builtins.eval",
        "_operator.pow",
        "",
    ],
)
def test_only_known_operators_are_called(
    tmp_path: Path, members: dict[str, bytes], target: str
) -> None:
    assert operator_called(target) is None
    path = write(tmp_path / "m.pt2", changed(members, "m/models/model.json", first_calls(target)))
    with pytest.raises(ModelFileError, match="not a known operator") as raised:
        ns.audit(path)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("count", [2**31, 2**62])
def test_what_takes_too_much_memory_is_not_run(
    tmp_path: Path, members: dict[str, bytes], count: int
) -> None:
    changes = changed(members, "m/models/model.json", makes_zeros(count))
    with budget(), pytest.raises(SpecError, match=r"makes an array of shape|memory it would take"):
        ns.scope(write(tmp_path / "m.pt2", changes), images())


class Trap:
    """Whoever loads it has called `os.abort`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def test_pickles_in_it_are_left_alone(tmp_path: Path, members: dict[str, bytes]) -> None:
    trapped = members | {"m/data/sample_inputs/model.pt": pickle.dumps(Trap())}
    assert ns.audit(write(tmp_path / "m.pt2", trapped)).layers


def pickled(value: dict[str, Any]) -> None:
    value["config"]["bn.weight"]["use_pickle"] = True


def test_a_pickled_weight_is_refused(tmp_path: Path, members: dict[str, bytes]) -> None:
    config = "m/data/weights/model_weights_config.json"
    trapped = changed(members, config, pickled)
    with pytest.raises(ModelFileError, match=r"bn.weight' is pickled"):
        ns.audit(write(tmp_path / "m.pt2", trapped))


def stated(key: str, value: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        entry = config["config"]["bn.weight"]
        (entry if key in entry else entry["tensor_meta"])[key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        stated("path_name", "../../../../etc/passwd"),
        stated("path_name", "/etc/passwd"),
        stated("path_name", "gone"),
        stated("path_name", 3),
        stated("dtype", 99),
        stated("dtype", 8),
        stated("sizes", [{"as_int": 9}]),
        stated("sizes", [{"as_int": -1}]),
        stated("sizes", [{"as_expr": {}}]),
        stated("sizes", 3),
        stated("strides", [{"as_int": 2}]),
        stated("storage_offset", {"as_int": 1}),
        stated("layout", 1),
        stated("tensor_meta", []),
    ],
)
def test_a_tensor_that_is_not_in_the_file(
    tmp_path: Path, members: dict[str, bytes], change: Change
) -> None:
    config = "m/data/weights/model_weights_config.json"
    path = write(tmp_path / "m.pt2", changed(members, config, change))
    with budget(), pytest.raises(ModelFileError) as raised:
        ns.audit(path)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["models/model.json", "data/weights/model_weights_config.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"[" * 5000, b"nonsense"])
def test_damaged_texts(tmp_path: Path, members: dict[str, bytes], name: str, data: bytes) -> None:
    path = write(tmp_path / "m.pt2", members | {f"m/{name}": data})
    with budget(), pytest.raises(ModelFileError) as raised:
        ns.audit(path)
    assert str(raised.value).isprintable()


def every_place(value: Any) -> list[tuple[Any, Any]]:
    """Each container in a value of JSON, with each of its keys."""
    found, stack = [], [value]
    while stack:
        container = stack.pop()
        if isinstance(container, dict | list):
            keys = list(container) if isinstance(container, dict) else range(len(container))
            found += [(container, key) for key in keys]
            stack += [container[key] for key in keys]
    return found


def test_any_damage_of_the_program_is_one_clear_line(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    """Each place in the program in turn holds something else."""
    from normscope.frameworks.torch.exported.from_file import program_in

    text = members["m/models/model.json"]
    count = len(every_place(json.loads(text)))
    others = [None, -1, "x", [], {}, {"as_int": 2**70}, [[]]]
    path = tmp_path / "m.pt2"
    refused = 0
    for number in range(0, count, 13):
        value = json.loads(text)
        container, key = every_place(value)[number]
        container[key] = others[number % len(others)]
        write(path, members | {"m/models/model.json": json.dumps(value).encode()})
        with suppress(ModelFileError):
            program_in(path)
            refused -= 1
        refused += 1
    assert refused > count // 13 // 4


def test_compressed_and_cut_archives(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = write(tmp_path / "m.pt2", members, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="compressed"):
        ns.audit(path)
    whole = write(path, members).read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with budget(), pytest.raises(ModelFileError):
            ns.audit(path)


def test_compiled_code_is_not_run(tmp_path: Path) -> None:
    members = {"m/archive_format": b"pt2", "m/data/aotinductor/model/x.so": b"\x7fELF"}
    with pytest.raises(ModelFileError, match="AOTInductor compiled"):
        ns.audit(write(tmp_path / "m.pt2", members))


def test_another_version_says_what_to_do(tmp_path: Path, members: dict[str, bytes]) -> None:
    def older(value: dict[str, Any]) -> None:
        value["schema_version"]["major"] = 7

    path = write(tmp_path / "m.pt2", changed(members, "m/models/model.json", older))
    with pytest.raises(ModelFileError, match=r"version 7 .* torch\.export\.load"):
        ns.audit(path)
