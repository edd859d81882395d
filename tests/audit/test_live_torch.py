"""Audits of live PyTorch models: what is found, what the rules say, what the JSON holds."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope.audit import Audit


def audited(net: nn.Module, *shape: int, **more: Any) -> Audit:
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    return ns.audit(net, x, **more)


def codes(audit: Audit) -> set[str]:
    return {finding.code for finding in audit.findings}


class Permuted(nn.Module):
    """A convolution, and a normalization of its output with the channels elsewhere."""

    def __init__(self, norm: nn.Module, *order: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = norm
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x).permute(self.order)))


SAME, LAST = (0, 1, 2, 3), (0, 2, 3, 1)

NS102 = [
    (nn.BatchNorm2d(6), SAME, False),
    (nn.BatchNorm2d(8), LAST, True),
    (nn.LayerNorm(6), LAST, False),
    (nn.LayerNorm(5), SAME, True),
    (nn.LayerNorm([6, 8, 5]), SAME, False),
    (nn.GroupNorm(2, 6), SAME, False),
    (nn.InstanceNorm2d(6), SAME, False),
]


@pytest.mark.parametrize(("norm", "order", "fires"), NS102, ids=[str(c[:2]) for c in NS102])
def test_a_norm_over_the_wrong_axis(norm: nn.Module, order: tuple[int, ...], fires: bool) -> None:
    audit = audited(Permuted(norm, *order), 4, 3, 8, 5, select=["NS102"])
    assert [site.path for site in audit.layers] == ["norm"]
    assert bool(audit.findings) is fires
    if fires:
        assert "but conv puts the channels on axis" in audit.findings[0].message


def test_axes_have_the_names_that_are_known() -> None:
    net = Permuted(nn.BatchNorm2d(6), *SAME)
    (site,) = audited(net, 4, 3, 8, 5).layers
    assert site.train is not None
    assert site.train.pattern == "[b] c [h w]"
    (site,) = audited(net, 4, 3, 8, 5, axes="n k y x").layers
    assert site.train is not None
    assert site.train.pattern == "[n] c [y x]"


def test_the_json_of_a_layer() -> None:
    report = audited(Permuted(nn.BatchNorm2d(6), *SAME), 4, 3, 8, 5).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    samples = report["model"]["samples"]
    assert samples["training"]["verdict"] == "mixed"
    assert samples["training"]["through"]["path"] == "norm"
    assert (
        samples["training"]["through"]["source"].rpartition(":")[0].endswith("test_live_torch.py")
    )
    assert samples["inference"]["verdict"] == "proved apart"
    (layer,) = report["layers"]
    assert set(layer) == {
        *("path", "type", "operator", "source", "declared", "spec_train", "spec_infer"),
        *("input_shape", "kind", "verified", "max_ulp", "sample_independent"),
    }
    assert (layer["path"], layer["type"], layer["kind"]) == ("norm", "BatchNorm2d", "normalization")
    assert layer["input_shape"] == [4, 6, 8, 5]
    assert layer["declared"]["pattern"] == layer["spec_train"]["pattern"] == "[b] c [h w]"
    assert layer["spec_infer"]["pattern"] is None
    assert layer["verified"]
    assert layer["max_ulp"] < 100
    assert layer["sample_independent"] == {"train": False, "infer": True}


class Handmade(nn.Module):
    """Normalizations that no class names."""

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.layer_norm(x, (16,))
        scores = torch.softmax(x @ x.transpose(1, 2), -1) @ x
        return scores / scores.norm(dim=-1, keepdim=True)


def test_what_is_written_by_hand_is_found_and_a_softmax_is_not() -> None:
    audit = audited(Handmade(), 4, 6, 16, verbose=True)
    assert [site.operator.split(".")[0] for site in audit.layers] == [
        "native_layer_norm",
        "linalg_vector_norm",
    ]
    assert {site.path for site in audit.layers} == {""}
    assert "the model itself" in str(audit)


class NamedNorm(nn.Module):
    """What is called a norm, and normalizes nothing, is no site."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Identity()
        self.proj = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(self.norm(x))
        return out


def test_a_norm_that_normalizes_nothing_is_not_invented() -> None:
    audit = audited(NamedNorm(), 4, 6)
    assert audit.layers == ()
    assert str(audit).startswith("There is no normalization layer in this model.")


def test_declared_and_found_differ() -> None:
    lying = nn.LayerNorm(6)
    lying.forward = lambda x: nn.functional.layer_norm(x, x.shape[1:])  # type: ignore[method-assign, assignment]
    audit = audited(nn.Sequential(nn.Linear(6, 6), lying), 4, 5, 6)
    assert str(audit).startswith(
        "1 is not as its settings declare (torch.nn.LayerNorm): "
        'statistics over "b [s c]" instead of "b s [c]"'
    )


def trained_without_statistics() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6))
    with torch.no_grad():
        net[1].weight.fill_(1.5)
    return net


RULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "NS101": (nn.Sequential(nn.Linear(6, 1), nn.LayerNorm(1)), (4, 6)),
    "NS102": (Permuted(nn.BatchNorm2d(8), *LAST), (4, 3, 8, 5)),
    "NS201": (nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6, eps=0.0)), (4, 6)),
    "NS301": (trained_without_statistics(), (4, 3, 8, 5)),
    "NS302": (
        nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=False)),
        (4, 6),
    ),
    "NS401": (nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)), (4, 3, 8, 5)),
}


@pytest.mark.parametrize("code", RULES)
def test_a_rule_fires(code: str) -> None:
    net, shape = RULES[code]
    audit = audited(net, *shape, select=[code])
    assert codes(audit) == {code}
    for finding in audit.findings:
        assert "keras" not in finding.fix.lower()


def test_a_clean_model_is_silent() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3)
    )
    audit = audited(net, 4, 3, 9, 9)
    assert audit.findings == ()
    assert len(audit.layers) == 1


def test_a_bias_behind_an_activation_or_read_twice_matters() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.BatchNorm2d(6))
    assert audited(net, 4, 3, 9, 9, select=["NS401"]).findings == ()
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.LayerNorm([6, 7, 7]))
    assert audited(net, 4, 3, 9, 9, select=["NS401"]).findings == ()


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout())
    before = copy.deepcopy(net.state_dict())
    torch.manual_seed(3)
    state = torch.get_rng_state()
    audited(net, 4, 3, 8, 5)
    assert torch.equal(state, torch.get_rng_state())
    assert net.training
    for name, value in net.state_dict().items():
        assert torch.equal(before[name], value)


def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(ns.SpecError, match="cannot be audited with these inputs"):
        audited(nn.Linear(3, 4), 4, 5)


def test_few_samples_are_no_finding() -> None:
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6))
    assert audited(net, 2, 6).findings == ()


def test_one_sample_is_enough_to_see_what_is_normalized() -> None:
    audit = audited(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)), 1, 3, 8, 5)
    (site,) = audit.layers
    assert site.train is not None
    assert site.train.pattern == "[b] c [h w]"
    assert audit.samples["training"].verdict == "unknown"


def test_what_cannot_be_followed_says_what_to_do() -> None:
    with pytest.raises(ns.SpecError, match=r"cannot be audited: .*; scope\(model, inputs\)"):
        ns.audit(lambda x: x - x.mean(), np.ones((4, 3)))
    with pytest.raises(ns.SpecError, match="is code"):
        ns.audit("model.py:Net()")


def test_arrays_that_hide_what_a_layer_does_are_told_all_the_same() -> None:
    net = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8), nn.BatchNorm1d(8))
    net[0].weight.data[3] = torch.nan
    net[2].bias.data[5] = 3e6
    net[3].running_var[1] = torch.inf
    before = {name: array.clone() for name, array in net.state_dict().items()}
    sites = ns.audit(net, np.random.default_rng(0).normal(size=(6, 8)).astype("float32")).layers
    assert [site.kind for site in sites] == ["normalization"] * 3
    assert np.isnan(sites[0].arrays["scale"]).tolist() == [n == 3 for n in range(8)]
    assert sites[1].arrays["bias"][5] == 3e6
    assert np.isinf(sites[2].arrays["running_var"][1])
    for name, array in net.state_dict().items():
        assert torch.equal(torch.nan_to_num(array, 7), torch.nan_to_num(before[name], 7))
