"""What torch exports has the sites and the verdict of the live model, but for what was folded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from normscope.frameworks.live import Live
from normscope.frameworks.onnx.file import onnx_model
from normscope.frameworks.registry import live_of
from normscope.graph.operators import Graph
from normscope.graph.proof import Verdict, samples_apart
from normscope.graph.replay import replay
from normscope.graph.sites import find_sites


class Of(nn.Module):
    """A function of x and of some layers."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module | torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) else part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def _pictures() -> nn.Module:
    parts = {
        "c": nn.Conv2d(3, 8, 3, padding=1),
        "g": nn.GroupNorm(4, 8),
        "i": nn.InstanceNorm2d(8, affine=True),
        "l": nn.LocalResponseNorm(3),
        "b": nn.BatchNorm2d(8),
    }

    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.b(torch.relu(m.l(m.i(m.g(m.c(x))))))
        return functional.normalize(x, dim=1).mean((2, 3))

    return Of(run, **parts)


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2)


def _channels_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    u = x.mean(1, keepdim=True)
    s = (x - u).pow(2).mean(1, keepdim=True)
    return m.w[:, None, None] * ((x - u) / torch.sqrt(s + 1e-6))


def _global_response(m: Any, x: torch.Tensor) -> torch.Tensor:
    gx = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
    return m.w * (x * (gx / (gx.mean(-1, keepdim=True) + 1e-6))) + x


def _by_hand(m: Any, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean((0, 2, 3), keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean((0, 2, 3), keepdim=True) + 1e-5)


def _squeezed(m: Any, x: torch.Tensor) -> torch.Tensor:
    gate = torch.sigmoid(m.b(torch.relu(m.a(x.mean((2, 3), keepdim=True)))))
    return m.n(x * gate)


def _root_mean_square(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


R = torch.randn
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "pictures": (_pictures, (4, 3, 8, 8), 5),
    "encoder": (_encoder, (4, 5, 16), 4),
    "channels first": (lambda: Of(_channels_first, w=R(6)), (4, 6, 5, 5), 1),
    "global response": (lambda: Of(_global_response, w=R(6)), (4, 5, 5, 6), 1),
    "batch norm by hand": (lambda: Of(_by_hand), (4, 6, 5, 5), 1),
    "root mean square": (lambda: Of(_root_mean_square, w=R(6)), (4, 5, 6), 1),
    "squeeze": (
        lambda: Of(_squeezed, a=nn.Conv2d(6, 2, 1), b=nn.Conv2d(2, 6, 1), n=nn.BatchNorm2d(6)),
        (4, 6, 5, 5),
        1,
    ),
    "recurrent": (
        lambda: Of(
            lambda m, x: m.n(m.l(x)[0]), l=nn.LSTM(6, 8, batch_first=True), n=nn.LayerNorm(8)
        ),
        (4, 5, 6),
        1,
    ),
    "a matrix that is normalized": (
        lambda: Of(
            lambda m, x: m.n(x @ functional.normalize(m.w, dim=0)), w=R(6, 8), n=nn.LayerNorm(8)
        ),
        (4, 6),
        1,
    ),
}


def exported(model: nn.Module, x: torch.Tensor, path: Path, training: bool) -> Path:
    """The file that the exporter by tracing writes."""
    mode = torch.onnx.TrainingMode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (x,),
            str(path),
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "b"}},
            training=mode.TRAINING if training else mode.EVAL,
            do_constant_folding=not training,
            opset_version=17,
        )
    return path


def graph_of(model: Any, inputs: Any, training: bool) -> Graph:
    """The graph of one mode."""

    def first(live: Live) -> Any:
        return live.inputs(inputs).arguments(live.leaf)

    live = live_of(model, first, "{kind}")
    with live.kept():
        return live.trace(live.inputs(inputs), training)


def sites(graph: Graph) -> list[tuple[Any, ...]]:
    """What is said of each site."""
    return [
        (site.form, site.path, site.x.shape, site.y.shape, bool(site.dismissed))
        for site in find_sites(graph)
    ]


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_is_seen_like_the_live_one(
    tmp_path: Path, name: str, training: bool
) -> None:
    torch.manual_seed(0)
    make, shape, count = MODELS[name]
    model = make().train(training)
    x = torch.randn(shape)
    file = onnx_model(exported(model, x, tmp_path / "m.onnx", training))
    found = graph_of(file, {"x": x.numpy()}, training)
    live = graph_of(model, x, training)
    assert sites(found) == sites(live)
    assert len(sites(found)) == count
    verdicts = [samples_apart(graph, [0]).verdict for graph in (found, live)]
    assert verdicts[0] == verdicts[1]
    meets = name == "batch norm by hand" or (training and name in ("pictures", "squeeze"))
    assert (verdicts[0] is Verdict.MEET) is meets
    (y,) = replay(found, found.outputs[:1], {found.inputs[0]: x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(y, model(x).numpy(), rtol=1e-3, atol=1e-4)


def test_what_an_exporter_folds_away_is_gone(tmp_path: Path) -> None:
    """A batch normalization behind a convolution becomes part of its weights."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).eval()
    x = torch.randn(4, 3, 8, 8)
    file = onnx_model(exported(model, x, tmp_path / "m.onnx", training=False))
    assert [node.op_type for node in file.model.graph.node] == ["Conv"]
    assert not find_sites(graph_of(file, {"x": x.numpy()}, training=False))


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)).eval()
    x = torch.randn(4, 6)
    path = exported(model, x, tmp_path / "m.onnx", training=False)
    before = path.read_bytes()
    loaded = onnx.load(str(path))
    copy = loaded.SerializeToString()
    graph_of(onnx_model(path), {"x": x.numpy()}, training=False)
    graph_of(loaded, {"x": x.numpy()}, training=False)
    assert path.read_bytes() == before
    assert loaded.SerializeToString() == copy


def test_the_mode_of_a_file_is_told(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)).eval()
    x = torch.randn(4, 6)
    file = onnx_model(exported(model, x, tmp_path / "m.onnx", training=False))
    graph = graph_of(file, {"x": x.numpy()}, training=True)
    assert graph.notes == ["the file holds one mode, that of inference"]
