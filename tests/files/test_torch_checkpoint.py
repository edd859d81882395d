"""What `torch.save` writes is read without torch; whatever else a pickle holds is left alone."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from budget import budget
from normscope import ModelFileError
from normscope.files.torch_checkpoint import read_checkpoint

BOTH = pytest.mark.parametrize("zipped", [True, False])


class Tagged(torch.Tensor):
    """A subclass that is pickled with its attributes."""


def saved(path: Path, value: object, zipped: bool = True) -> str:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return str(path)


def values() -> dict[str, Any]:
    numbers = torch.arange(24.0).reshape(4, 6)
    tagged = torch.ones(3).as_subclass(Tagged)
    tagged.mark = 1  # type: ignore[attr-defined]
    return {
        "turned": numbers.t()[1:],
        "column": numbers[:, 2],
        "parameter": torch.nn.Parameter(numbers[1].clone()),
        "half": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
        "integers": torch.tensor([1, 2]),
        "one": torch.tensor(7.0),
        "empty": torch.empty(0, 3),
        "tagged": tagged,
        "broadcast": torch.ones(1).expand(5),
    }


@BOTH
def test_arrays_are_those_that_torch_reads(tmp_path: Path, zipped: bool) -> None:
    wanted = values()
    found = read_checkpoint(saved(tmp_path / "m", wanted, zipped))
    assert set(found.arrays) == set(wanted)
    assert not found.objects
    for name, tensor in wanted.items():
        array = found.arrays[name]
        assert array.shape == tuple(tensor.shape)
        assert f"torch.{array.dtype}" == str(tensor.dtype)
        np.testing.assert_array_equal(array.numbers(), tensor.detach().float().numpy())


def test_a_dtype_that_numpy_has_not(tmp_path: Path) -> None:
    eight = torch.zeros(3, dtype=torch.float8_e4m3fn)
    found = read_checkpoint(
        saved(tmp_path / "m", {"a": eight, "b": torch.ones(2).to(torch.uint16)})
    )
    assert (found.arrays["a"].dtype, found.arrays["a"].is_float) == ("float8_e4m3fn", False)
    with pytest.raises(ModelFileError, match="float8"):
        found.arrays["a"].numbers()
    np.testing.assert_array_equal(found.arrays["b"].numbers(), [1, 1])


@BOTH
def test_what_stands_beside_the_arrays_is_no_obstacle(tmp_path: Path, zipped: bool) -> None:
    net = torch.nn.Linear(2, 2)
    content = {
        "epoch": 3,
        "args": Namespace(lr=0.1),
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
        "model": net.state_dict(),
        "loss": np.float64(3),
    }
    found = read_checkpoint(saved(tmp_path / "m", content, zipped))
    assert set(found.arrays) == {"model.weight", "model.bias"}
    assert found.objects["argparse.Namespace"] == 1
    assert not found.module


@BOTH
def test_a_pickled_module_is_named(tmp_path: Path, zipped: bool) -> None:
    found = read_checkpoint(saved(tmp_path / "m", {"ema": torch.nn.Linear(2, 2)}, zipped))
    assert found.module == "torch.nn.modules.linear.Linear"
    assert not found.arrays


class Trap:
    """Whoever loads it has called `os.abort`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


@BOTH
def test_no_code_of_a_checkpoint_is_run(tmp_path: Path, zipped: bool) -> None:
    found = read_checkpoint(saved(tmp_path / "m", {"a": Trap(), "b": torch.ones(2)}, zipped))
    assert set(found.arrays) == {"b"}
    assert [name.rpartition(".")[2] for name in found.objects] == ["abort"]


def test_big_endian_numbers(tmp_path: Path) -> None:
    """No machine here writes them: the bytes of an archive are turned by hand."""
    with zipfile.ZipFile(saved(tmp_path / "m", {"a": torch.tensor([1.0, 2.0])})) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "big", "w") as archive:
        for name, data in members.items():
            turned = (
                np.frombuffer(data, "<f4").astype(">f4").tobytes() if "/data/" in name else data
            )
            archive.writestr(name, b"big" if name.endswith("byteorder") else turned)
    np.testing.assert_array_equal(
        read_checkpoint(str(tmp_path / "big")).arrays["a"].numbers(), [1, 2]
    )


# --- hostile ------------------------------------------------------------------------------------


def archive_of(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/0", bytes(8))
    return str(path)


def tensor(offset: object, shape: object, strides: object, key: str = "0") -> bytes:
    """The pickle of a checkpoint with one tensor of float32, said by hand."""

    def text(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\2tQ"
    )
    arguments = b"(" + storage + text(offset) + text(shape) + text(strides) + b"\x89}t"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def test_the_tensor_that_is_said_by_hand_is_one(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m", tensor(0, (2,), (1,)))
    np.testing.assert_array_equal(read_checkpoint(path).arrays["w"].numbers(), [0, 0])


@pytest.mark.parametrize(
    "pickled",
    [
        tensor(-1, (2,), (1,)),
        tensor(0, (-2,), (1,)),
        tensor(0, (2,), (-1,)),
        tensor(0, (2.5,), (1,)),
        tensor(0, 2, 1),
        tensor(0, (2,), ()),
        tensor("0", (2,), (1,)),
        tensor(0, (1,) * 100, (1,) * 100),
        b"\x80\x02}X\1\0\0\0w" + b"}X\1\0\0\0w" * 30 + b"N" + b"s" * 31 + b".",
        b"\x80\x02",
        b"",
    ],
)
def test_damage_is_one_clear_line(tmp_path: Path, pickled: bytes) -> None:
    with budget(), pytest.raises(ModelFileError) as raised:
        read_checkpoint(archive_of(tmp_path / "m", pickled))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "pickled", [tensor(0, (3,), (1,)), tensor(1, (2,), (1,)), tensor(0, (2,), (1,), "../../x")]
)
def test_numbers_beyond_their_storage(tmp_path: Path, pickled: bytes) -> None:
    found = read_checkpoint(archive_of(tmp_path / "m", pickled))
    with budget(), pytest.raises(ModelFileError, match="missing or too short"):
        found.arrays["w"].numbers()


def test_a_compressed_pickle_is_not_inflated(tmp_path: Path) -> None:
    bomb = archive_of(tmp_path / "m", bytes(2**25), zipfile.ZIP_DEFLATED)
    with budget(), pytest.raises(ModelFileError, match="compressed"):
        read_checkpoint(bomb)


def test_a_cut_legacy_file(tmp_path: Path) -> None:
    whole = Path(saved(tmp_path / "m", {"a": torch.ones(9)}, False)).read_bytes()
    for cut in range(0, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:cut])
        with budget(), pytest.raises(ModelFileError):
            read_checkpoint(str(tmp_path / "cut"))


def test_a_container_that_holds_itself(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": torch.ones(2)}
    content["self"] = content
    assert set(read_checkpoint(saved(tmp_path / "m", content)).arrays) == {"a"}


def test_many_ways_to_one_container_are_walked_once(tmp_path: Path) -> None:
    content: Any = {"w": torch.ones(2)}
    for _ in range(18):
        content = {"a": content, "b": content, "c": content}
    with budget():
        assert len(read_checkpoint(saved(tmp_path / "m", content)).arrays) == 1


def test_a_file_that_is_neither(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(io.BytesIO(b"hello").getvalue())
    with pytest.raises(ModelFileError, match="damaged"):
        read_checkpoint(str(tmp_path / "m"))
