"""What a model must keep: how it is declared, what is found of it, and by which means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import normscope as ns
from normscope.audit.promises import wanted_promises
from normscope.errors import SpecError

BOTH = ("training", "inference")


@pytest.mark.parametrize(
    ("said", "axes"),
    [
        ("b", {"b": BOTH}),
        ("b h, w", {"b": BOTH, "h": BOTH, "w": BOTH}),
        ("b@inference h", {"b": ("inference",), "h": BOTH}),
        ("b@inference b@training", {"b": BOTH}),
        (0, {0: BOTH}),
        ("-1", {-1: BOTH}),
        (["b", 2], {"b": BOTH, 2: BOTH}),
        ({"inference": ["b", "h"], "training": "h"}, {"b": ("inference",), "h": BOTH}),
        (None, {}),
    ],
)
def test_a_promise_is_an_axis_in_one_mode_or_both(said: Any, axes: Any) -> None:
    assert {one.axis: one.modes for one in wanted_promises(independent=said)} == axes
    assert {one.axis: one.modes for one in wanted_promises(causal=said)} == axes


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("", "is not the name or the number of an axis"),
        ("b c*", "'c*'"),
        (1.5, "1.5"),
        (True, "True"),
        ("b@eval", "'eval' is not a mode"),
        ({"eval": "b"}, "'eval' is not a mode"),
    ],
)
def test_what_is_no_promise_is_refused(said: Any, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        wanted_promises(independent=said)
    assert part in str(caught.value)
    assert str(caught.value).startswith("independent")


def test_a_promise_is_written_as_it_was_declared() -> None:
    assert [str(one) for one in wanted_promises("b h")] == ['independent="b"', 'independent="h"']
    assert [str(one) for one in wanted_promises(causal="t@inference")] == ['causal="t@inference"']


# --- models that are read, and not run ------------------------------------------------------------


def test_of_settings_a_break_is_known_and_nothing_else() -> None:
    seed = Path(__file__).parents[2] / "examples" / "seed_network_full_th.json"
    audit = ns.audit(seed, independent="b w", causal="t", select=["NS7"])
    found = {(p.wanted.axis, p.mode): str(p.standing) for p in audit.graph.promises}
    assert found["w", "training"] == "broken"  # its sets are rows
    assert found["t", "training"] == found["t", "inference"] == "unknown"
    assert found["b", "inference"] == "unknown"
    assert {f.severity for f in audit.findings if f.code == "NS702"} == {"warning"}
    assert "read, and not run" in next(f.message for f in audit.findings if f.code == "NS702")
    assert any(f.code == "NS703" and f.severity == "error" for f in audit.findings)


# --- live models ----------------------------------------------------------------------------------


def images(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.framework
def test_an_axis_that_no_input_has() -> None:
    from torch import nn

    for axes, wrong in (("b c h w", "t"), ("b c h w", 4), (None, "c")):
        with pytest.raises(SpecError, match="no input has an axis"):
            ns.audit(nn.BatchNorm2d(3), images(2, 3, 4, 4), axes=axes, independent=wrong)


@pytest.mark.framework
def test_each_mode_has_its_standing() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6))
    audit = ns.audit(net, images(4, 3, 8, 8), independent="b", select=["NS7"])
    training, inference = audit.graph.promises
    assert (training.mode, training.standing, training.sites) == ("training", "broken", (0,))
    assert (inference.mode, inference.standing, inference.how) == ("inference", "kept", "proved")
    assert [(f.code, f.path, f.severity) for f in audit.findings] == [("NS701", "1", "error")]
    assert audit.findings[0].message.startswith("in training, ")


@pytest.mark.framework
def test_every_layer_that_couples_is_named() -> None:
    from torch import nn

    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3), nn.GroupNorm(1, 3))
    audit = ns.audit(net, images(4, 3, 8, 8), axes="b c h w", independent="b", select=["NS7"])
    assert [finding.path for finding in audit.findings] == ["0", "2"]


@pytest.mark.framework
def test_a_culprit_that_is_no_normalization() -> None:
    import torch
    from torch import nn

    class Mixed(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + torch.softmax(x, 0)

    net = nn.Sequential(nn.Conv2d(3, 3, 1), Mixed())
    audit = ns.audit(net, images(4, 3, 8, 8), independent="b", select=["NS7"])
    (finding,) = audit.findings
    assert (finding.code, finding.path, finding.severity) == ("NS701", "1", "error")
    assert "softmax" in finding.message
    assert "test_promises.py" in finding.message


@pytest.mark.framework
def test_statistics_of_all_steps_where_the_output_has_fewer_steps() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv1d(3, 4, 3), nn.GroupNorm(1, 4))
    audit = ns.audit(net, images(2, 3, 20), axes="b c t", causal="t", select=["NS7"])
    (finding,) = audit.findings
    assert (finding.code, finding.path, finding.severity) == ("NS702", "1", "error")
    assert "the first quarter of the output changes with the second half" in finding.message
    plain = ns.audit(net[:1], images(2, 3, 20), axes="b c t", causal="t", select=["NS7"])
    assert [(f.code, f.severity) for f in plain.findings] == [("NS702", "warning")]


@pytest.mark.framework
def test_what_sees_far_and_is_no_statistic_is_not_known() -> None:
    import torch
    from torch import nn

    class Gate(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(x.mean((2, 3), keepdim=True))

    audit = ns.audit(Gate(), images(2, 3, 16, 16), axes="b c h w", independent="h", select=["NS7"])
    (finding,) = audit.findings
    assert (finding.code, finding.severity) == ("NS703", "warning")
    assert "the outer quarter of the output changes" in finding.message


@pytest.mark.framework
@pytest.mark.parametrize("composite", [True, False])
def test_attention_sees_far_and_takes_no_statistics(composite: bool) -> None:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(6)
            self.qkv = nn.Linear(6, 18)

        def forward(self, x: Any) -> Any:
            q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
            if composite:
                return x + nn.functional.scaled_dot_product_attention(q, k, v)
            return x + torch.softmax(q @ k.mT, -1) @ v

    net = nn.Sequential(Attention(), Attention(), nn.LayerNorm(6))
    audit = ns.audit(net, images(2, 16, 6), axes="b t c", independent="t", select=["NS7"])
    assert audit.findings == ()
    for promise in audit.graph.promises:
        assert (promise.standing, promise.how) == ("kept", "proved")
        assert "attention" in promise.why
    net.insert(1, nn.Sequential(nn.Flatten(1), nn.LayerNorm(96), nn.Unflatten(1, (16, 6))))
    audit = ns.audit(net, images(2, 16, 6), axes="b t c", independent="t", select=["NS7"])
    assert [(f.path, f.severity) for f in audit.findings] == [("1.1", "error")]


@pytest.mark.framework
def test_statistics_of_patches_are_windows() -> None:
    from torch import nn

    class Patches(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count
            self.norm = nn.LayerNorm(48 // count, elementwise_affine=False)

        def forward(self, x: Any) -> Any:  # (b, t, c)
            return self.norm(x.reshape(x.shape[0], self.count, -1)).reshape(x.shape)

    def found(count: int) -> Any:
        inputs = images(2, 16, 3)
        return ns.audit(Patches(count), inputs, axes="b t c", independent="t", select=["NS7"])

    small = found(8)  # each of two positions
    assert small.findings == ()
    assert {(p.standing, p.how) for p in small.graph.promises} == {("kept", "by probing")}
    assert "within parts of it" in small.graph.promises[0].why
    assert [f.severity for f in found(1).findings] == ["error"]


@pytest.mark.framework
def test_windows_keep_what_is_promised_of_positions() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
    promised = {"independent": "h@inference w@inference", "select": ["NS7"]}
    audit = ns.audit(net, images(2, 3, 16, 16), axes="b c h w", **promised)
    assert audit.findings == ()
    assert {(p.standing, p.how) for p in audit.graph.promises} == {("kept", "proved")}
    assert "agree away from the cut" in audit.graph.promises[0].measured


@pytest.mark.framework
def test_a_model_of_one_size_is_judged_by_its_layers() -> None:
    from torch import nn

    net = nn.Sequential(nn.InstanceNorm2d(3), nn.Flatten(2), nn.Linear(64, 64))
    net.append(nn.Unflatten(2, (8, 8)))
    audit = ns.audit(net, images(2, 3, 8, 8), axes="b c h w", independent="h", select=["NS7"])
    assert [(f.path, f.severity) for f in audit.findings] == [("0", "error")]
    assert "no tiles were compared" in audit.findings[0].message


@pytest.mark.framework
def test_numbers_that_a_program_reads_leave_it_to_probing() -> None:
    import torch
    from torch import nn

    class Signs(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.stack([s if float(s.sum()) > 0 else -s for s in x])

    audit = ns.audit(Signs(), images(3, 4), independent="b@inference", select=["NS7"])
    (promise,) = audit.graph.promises
    assert (promise.standing, promise.how) == ("kept", "by probing")
    assert "reads numbers" in promise.why


@pytest.mark.framework
def test_statistics_of_training_alone_are_an_info_of_steps_and_positions() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv1d(3, 6, 1), nn.BatchNorm1d(6))
    for promised in ({"causal": "t"}, {"independent": "t"}):
        audit = ns.audit(net, images(2, 3, 12), axes="b c t", select=["NS7"], **promised)
        assert [(f.path, f.severity) for f in audit.findings] == [("1", "info")]
        assert audit.findings[0].message.startswith("in training, ")
