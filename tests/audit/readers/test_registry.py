"""Every model finds its reader; of what none takes it is said what does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import normscope as ns
from keras1_models import norm, sequential, write_json
from normscope import ModelFileError, SpecError
from normscope.audit.readers import keras1, registry
from normscope.audit.readers.asked import Asked
from normscope.files.readable import Readable


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.nn.LayerNorm, r"the class LayerNorm; make an instance, LayerNorm\(\.\.\.\)"),
        (None, r"a live model .*, not None"),
        (np.zeros((2, 3)), r"for an array write ns\.normalize\(x, pattern\)"),
        (torch.zeros(2), r"for an array write ns\.normalize"),
        (b"model.h5", "write the path as a str"),
        ("", "an empty text"),
        (3, r"an object of builtins\.int"),
    ],
    ids=["class", "none", "array", "tensor", "bytes", "empty", "number"],
)
def test_audit_of_what_is_no_model_says_what_it_takes(given: object, said: str) -> None:
    with pytest.raises(SpecError, match=rf"audit takes the path of a model file.*{said}"):
        ns.audit(given)


@pytest.mark.parametrize("model", [torch.nn.LayerNorm(3), lambda x: x], ids=["layer", "function"])
def test_a_model_that_tells_no_shapes_asks_for_inputs(model: object) -> None:
    with pytest.raises(SpecError, match=r"does not tell the shapes .* --shape 4,3,224,224"):
        ns.audit(model)


def test_audit_of_an_open_file_asks_for_its_path(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"")
    with path.open("rb") as file, pytest.raises(SpecError, match=r"write its path, .*model\.h5"):
        ns.audit(file)


class Toy:
    """A model of a framework that has a reader here only."""


@pytest.fixture
def toy_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more row, with a reader that gives the graph of a Keras 1 model."""
    path = write_json(tmp_path / "m.json", sequential((None, 3, 8, 6), norm(mode=1)))

    def read(source: Any, asked: Asked) -> Any:
        return keras1.read(path, asked)

    toy = SimpleNamespace(
        TAKES="a Toy",
        READS=(Readable("files of Toy", (".toy",), {"a file of Toy": ""}),),
        recognises=lambda source: isinstance(source, Toy),
        read=read,
    )
    monkeypatch.setattr(registry, "READERS", (*registry.READERS, toy))


@pytest.mark.usefixtures("toy_reader")
def test_one_row_is_all_that_a_reader_needs(tmp_path: Path) -> None:
    report = ns.audit(Toy())
    assert [finding.code for finding in report.findings] == ["NS103", "NS501"]
    assert report.to_html()
    with pytest.raises(
        SpecError, match=r"a model file of Keras 1 \(\.h5, \.json\), .* or a Toy, not"
    ):
        ns.audit(None)
    with pytest.raises(
        ModelFileError, match=r"only files of Keras 1, .* and files of Toy are read"
    ):
        ns.audit(write(tmp_path / "text", b"hello"))
    with pytest.raises(ModelFileError, match=r"a GIF image, which is not read\. What to do: it"):
        ns.audit(write(tmp_path / "image", b"GIF89a"))
    with pytest.raises(ModelFileError, match=r"an empty file: the download .* was cut off"):
        ns.audit(write(tmp_path / "empty", b""))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_without_its_row_the_same_object_is_refused() -> None:
    with pytest.raises(SpecError, match=r"an object of .*Toy"):
        ns.audit(Toy())
