"""Files of weights: what stands together as a normalization does is listed, and nothing more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import normscope as ns
from normscope import ModelFileError
from normscope.audit import Audit
from weight_files import safetensors


def checkpoint(path: Path, content: object, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def net() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.GroupNorm(2, 8),
        torch.nn.LayerNorm((4, 4)),
        torch.nn.RMSNorm(4),
        torch.nn.Linear(1, 8),
        torch.nn.Linear(8, 1, bias=False),
        torch.nn.Embedding(5, 4),
        torch.nn.LSTM(4, 4),
    )


def paths(audit: Audit) -> list[str]:
    return [site.path for site in audit.layers]


@pytest.mark.parametrize("zipped", [True, False])
def test_the_normalizations_of_a_checkpoint(tmp_path: Path, zipped: bool) -> None:
    found = ns.audit(checkpoint(tmp_path / "m.pt", net().state_dict(), zipped))
    assert paths(found) == ["1", "2", "3", "4"]
    assert [site.title for site in found.layers] == [
        "scale, bias, mean and variance of 8 channels",
        "scale and bias of 8 channels",
        "scale and bias of shape (4, 4)",
        "scale of 4 channels",
    ]
    assert "batch normalization" in found.layers[0].words
    assert "PReLU" in found.layers[3].words
    assert not found.findings
    assert all(site.spec is None and site.input_shape is None for site in found.layers)
    assert "holds no architecture" in str(found)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_safetensors_say_the_same(tmp_path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in net().state_dict().items()}
    found = ns.audit(safetensors(tmp_path / "m", arrays))
    assert paths(found) == ["1", "2", "3", "4"]
    assert found.graph.format == "safetensors"


def test_the_names_of_other_frameworks(tmp_path: Path) -> None:
    ones = np.ones(4)
    arrays = {
        "params/Block_0/BatchNorm_0/scale": ones,
        "params/Block_0/BatchNorm_0/bias": ones,
        "batch_stats/Block_0/BatchNorm_0/mean": ones,
        "batch_stats/Block_0/BatchNorm_0/var": ones,
        "encoder.norm.gamma": np.ones((1, 4, 1, 1)),
        "encoder.norm.beta": np.ones((1, 4, 1, 1)),
    }
    found = ns.audit(safetensors(tmp_path / "m", arrays))
    assert paths(found) == ["Block_0.BatchNorm_0", "encoder.norm"]


def test_findings_that_arrays_alone_tell(tmp_path: Path) -> None:
    state = net().state_dict()
    state["1.weight"] += 1
    found = ns.audit(checkpoint(tmp_path / "m.pt", {"model": state, "epoch": 3}))
    assert [(f.code, f.path) for f in found.findings] == [("NS301", "model.1")]
    state["1.running_var"][2] = float("nan")
    found = ns.audit(checkpoint(tmp_path / "m.pt", {"model": state, "epoch": 3}))
    assert [(f.code, f.path) for f in found.findings] == [("NS303", "model.1")]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_module_is_refused_in_one_line(tmp_path: Path, zipped: bool) -> None:
    with pytest.raises(ModelFileError, match="pickles a whole module") as raised:
        ns.audit(checkpoint(tmp_path / "m.pt", {"ema": net()}, zipped))
    assert "save model.state_dict()" in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_checkpoint_without_arrays(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no arrays in this checkpoint"):
        ns.audit(checkpoint(tmp_path / "m.pt", {"epoch": 3}))


def test_many_large_arrays_are_not_all_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from normscope.audit.readers import weights

    monkeypatch.setattr(weights, "MAX_NUMBERS", 20)
    found = ns.audit(checkpoint(tmp_path / "m.pt", net().state_dict()))
    assert len(found.layers) == 4
    assert "as they are many: 2 layers" in str(found)


def test_an_array_that_claims_to_be_large_costs_nothing(tmp_path: Path) -> None:
    expanded = torch.ones(1).expand(2**40)
    found = ns.audit(checkpoint(tmp_path / "m.pt", {"a.weight": expanded, "a.bias": expanded}))
    assert paths(found) == ["a"]
    assert "as they are many: 1 layer" in " ".join(found.graph.notes)


def test_a_folder_of_hugging_face_is_read_as_a_whole(tmp_path: Path) -> None:
    ones = np.ones(4)
    (tmp_path / "config.json").write_text(json.dumps({"rms_norm_eps": 1e-6, "vocab": 3}))
    safetensors(tmp_path / "model-00001-of-00002.safetensors", {"layers.0.norm.weight": ones})
    safetensors(tmp_path / "model-00002-of-00002.safetensors", {"layers.1.norm.weight": ones})
    checkpoint(tmp_path / "pytorch_model.bin", {"other.weight": torch.ones(4)})
    found = ns.audit(tmp_path)
    assert paths(found) == ["layers.0.norm", "layers.1.norm"]
    assert "config.json says rms_norm_eps=1e-06" in str(found)
    assert found.graph.name == tmp_path.name


def test_a_folder_of_the_files_of_pytorch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    checkpoint(tmp_path / "pytorch_model.bin", net().state_dict())
    checkpoint(tmp_path / "training_args.bin", {"lr": 0.1})
    assert paths(ns.audit(tmp_path)) == ["1", "2", "3", "4"]
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "training_args.bin").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="no weights"):
        ns.audit(tmp_path)
