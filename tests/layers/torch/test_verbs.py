"""Every verb knows `Norm`: what it says of the layer is what the layer computes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import normscope as ns
from normscope.frameworks.settings import declare
from normscope.layers.torch import Norm

pytestmark = pytest.mark.framework

BATCH = ns.spec("[b] c [h w]", c=6, scale="c", bias="c", running=ns.Running(0.9, ddof=1))
PIXEL = ns.spec("b [c] h w", c=6, scale="c", bias="c")
ROW = ns.spec("b c h [w]", w=8, scale="w")


def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(*norms: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = [nn.Conv2d(3, 6, 3, padding=1, bias=False)]
    for norm in norms:
        parts += [norm, nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, bias=False)]
    return nn.Sequential(*parts)


def test_explain_takes_the_layer() -> None:
    told = ns.explain(Norm(BATCH), (4, 6, 8, 8))
    assert str(told).startswith('normscope.layers.torch.Norm: "[b] c [h w]" on (4, 6, 8, 8)')
    assert told.to_dict()["spec"] == BATCH.to_dict()


@pytest.mark.parametrize(
    "stated",
    [
        PIXEL,
        BATCH,
        ns.spec("b (g [c]) [h w]", g=2, c=3, scale="g c", bias="g c", eps=1e-3),
        ns.spec("b [c h w]", center=False, measure="mean_square", scale="c", c=6),
        ns.spec("b h [w] c", center=False, measure="l2", eps=0, floor=1e-6),
    ],
    ids=lambda stated: stated.pattern,
)
def test_identify_finds_the_spec_of_the_layer(stated: ns.NormSpec) -> None:
    found = ns.identify(Norm(stated), (4, 6, 5, 5), axes="b c h w")
    assert found.title == "normscope.layers.torch.Norm"
    assert found.train is not None, found
    assert not found.headline  # it is what the layer declares
    assert found.train.running == stated.running


def test_a_frozen_layer_does_the_same_in_both_modes() -> None:
    layer = Norm(BATCH, frozen=True)
    assert declare(layer).train == declare(layer).infer == BATCH.inference()
    found = ns.identify(layer, (4, 6, 5, 5), axes="b c h w")
    assert not found.headline
    assert found.train.pattern is None
    with pytest.raises(ns.SpecError, match=r"is frozen; explain\(layer.spec, shape\)"):
        ns.explain(layer, (4, 6, 5, 5))
    with pytest.raises(ns.SpecError, match="forward"):
        ns.spec_of(type("Own", (Norm,), {"forward": lambda self, x: x})(BATCH))


class _Summed(nn.Module):
    """What it gives depends on other processes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x.mean((0, 2, 3), keepdim=True)
        torch.distributed.all_reduce(total)
        return x - total


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_wrapper_is_looked_into(tmp_path: Path) -> None:
    compiled = torch.compile(Norm(BATCH))
    assert str(ns.explain(compiled, (4, 6, 8, 8))).startswith("normscope.layers.torch.Norm: ")
    distributed = torch.distributed
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    try:
        shared = Norm("[b] c [h w]", scale="c", synchronized=distributed.group.WORLD)
        model = nn.parallel.DistributedDataParallel(network(Norm(BATCH)))
        audit = ns.audit(model, images())
        found = ns.identify(shared, (4, 6, 5, 5), axes="b c h w")
        with pytest.raises(ns.SpecError, match="shares numbers with other processes"):
            ns.audit(_Summed(), images())
    finally:
        distributed.destroy_process_group()
    assert shared.synchronized
    (site,) = audit.layers
    assert site.train.pattern == "[b] c [h w]"
    assert site.infer is not None
    assert "what DistributedDataParallel wraps was called alone" in audit.graph.notes
    assert found.train.pattern == "[b] c [h w]"


def test_scope_proves_who_sees_whom() -> None:
    batch = ns.scope(network(Norm(BATCH), Norm(PIXEL)), images())
    assert batch.samples_independent == {"training": False, "inference": True}
    assert str(batch.first["training"]).startswith("1 (Norm)")
    apart = ns.scope(network(Norm(PIXEL), Norm(BATCH, frozen=True)), images())
    assert apart.samples_independent == {"training": True, "inference": True}
    assert {str(mode.verdict) for mode in apart.samples.values()} == {"proved apart"}


def test_audit_finds_and_verifies_every_layer() -> None:
    audit = ns.audit(network(Norm(BATCH), Norm(PIXEL), Norm(ROW)), images())

    by_path = {site.path: site for site in audit.layers}
    assert list(by_path) == ["1", "4", "7"]
    for path, stated in {"1": BATCH, "4": PIXEL, "7": ROW}.items():
        site = by_path[path]
        assert site.title == "normscope.layers.torch.Norm"
        assert site.train.pattern == stated.pattern
        assert site.verified
        assert not site.differs
    (finding,) = [one for one in audit.findings if one.code == "NS102"]
    assert finding.path == "7"
    assert finding.fix.endswith('"b [c] h w", normscope.layers.torch.Norm')
    json.dumps(audit.to_dict())


def test_audit_names_the_layer_and_not_its_operators() -> None:
    """Live, frozen, and exported, where the program does not tell its spec."""
    stated = ns.spec("b [c] h w", measure="max", center=False)
    model = network(Norm(stated), Norm(BATCH, frozen=True))
    told = str(ns.audit(model, images(), axes="b c h w"))
    assert "  normscope.layers.torch.Norm\n" in told
    assert "amin" not in told
    assert "4 normalizes by stored statistics, in training too" in told
    assert "followed at inference only" not in told
    program = torch.export.export(model.eval(), (images(),))
    sites = ns.audit(program, axes="b c h w").layers
    assert [site.title for site in sites] == ["normscope.layers.torch.Norm"] * 2
    assert not any("norm.py" in site.source for site in sites)


def test_audit_knows_how_the_layer_stands() -> None:
    model = network(Norm(BATCH), Norm(BATCH, frozen=True), Norm(PIXEL))
    model(images())
    first, frozen, pixel = (site.condition for site in ns.audit(model, images()).layers)
    assert (first.training, first.updates, first.decay) == (True, 1, 0.9)
    assert (frozen.training, frozen.updates, frozen.decay) == (False, 0, None)
    assert (pixel.training, pixel.updates, pixel.decay) == (True, None, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sound_model_gives_no_finding(dtype: torch.dtype) -> None:
    """Whichever way the layer computes in: no rule takes it for a formula written by hand."""
    stated = [BATCH, PIXEL, ns.spec("b [c h w]", scale="c", bias="c", c=6)]
    model = network(*map(Norm, stated)).to(dtype)
    for _ in range(60):
        model(images().to(dtype))
    audit = ns.audit(model, images().to(dtype))
    assert len(audit.layers) == 3
    assert not audit.findings, str(audit)


def test_a_model_that_reads_numbers_is_followed_too() -> None:
    """It runs for real while its operators are recorded: kernels must not hide what it computes."""

    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(Norm(PIXEL))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) * (2 if float(x.sum()) > 0 else 1)

    audit = ns.audit(Reading(), images())
    assert [site.train.pattern for site in audit.layers] == ["b [c] h w"]
