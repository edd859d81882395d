"""Weights are read where no framework is installed."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import normscope as ns


def text(value: object) -> bytes:
    """A plain value within a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(key: str, count: int) -> bytes:
    """What a checkpoint says of a tensor of float32."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    storage += text(count) + b"tQ"
    arguments = storage + text(0) + text((count,)) + text((1,)) + b"\x89}t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"R"


def test_a_checkpoint_without_torch(tmp_path: Path) -> None:
    pickled = b"\x80\x02}("
    for name, key in (("norm.weight", "0"), ("norm.bias", "1")):
        pickled += text(name) + tensor(key, 2)
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", pickled + b"u.")
        archive.writestr("m/data/0", bytes(8))
        archive.writestr("m/data/1", bytes(8))
    found = ns.audit(tmp_path / "m.pt")
    (site,) = found.layers
    assert (site.path, site.title) == ("norm", "scale and bias of 2 channels")
    assert site.arrays["scale"].tolist() == [0, 0]


def test_safetensors_without_torch(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"norm.weight": entry}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (site,) = ns.audit(path).layers
    assert (site.path, site.title) == ("norm", "scale of 2 channels")
