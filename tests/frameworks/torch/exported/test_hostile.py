"""A .pt2 file from a stranger: its operators are known ones, and any damage is one clear line."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import normscope as ns
from frameworks.torch.exported.exported_models import exported_images
from normscope import ModelFileError
from normscope.frameworks.torch.exported.allowed import operator_called

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is in the file of a program."""
    path = tmp_path_factory.mktemp("export") / "m.pt2"
    torch.export.save(exported_images()[1], path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


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
def test_only_known_operators_are_called(target: str) -> None:
    assert operator_called(target) is None


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
