"""Which way a call takes: by size, dtype, layout, and whether memory is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from normscope import Running, retain_memory, spec
from normscope.layers.torch import Norm, compute, formula
from normscope.layers.torch.choice import Least, least_applied, least_of
from normscope.layers.torch.own_call import own_call

BATCH = spec("[b] c [h w]", scale="c", bias="c", running=Running(0.9, ddof=1))
MIB = 1 << 20


def least(stated: Any, shape: tuple[int, ...], dtype: torch.dtype, last: bool = False) -> Least:
    memory = torch.channels_last if last else torch.contiguous_format
    x = torch.empty(shape, dtype=dtype, device="meta").to(memory_format=memory)
    return least_of(stated, shape, x.stride(), dtype)


@pytest.fixture
def retained() -> Iterator[None]:
    if not retain_memory():
        pytest.skip("this C library is not glibc")
    yield
    retain_memory(False)


def test_kernels_run_at_any_size_where_torch_has_no_operator() -> None:
    over_channels = spec("b [c] h w", measure="l2", scale="c", bias="c")
    assert least(over_channels, (2, 8, 4, 4), torch.float32) == (0, 0)
    assert least(spec("b [c]", ddof=1), (2, 8), torch.float32) == (0, 0)


def test_axes_are_moved_where_that_gives_an_operator(retained: None) -> None:
    stated, shape = spec("b [c] h w", scale="c", bias="c"), (2, 8, 4, 4)
    planes = least(stated, shape, torch.float32)
    rows = least(stated, shape, torch.float32, last=True)
    assert 0 < planes.alone < planes.derived
    assert rows == least(spec("... [c]", scale="c", bias="c"), (2, 4, 4, 8), torch.float32)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("pattern", "fields"),
    [
        ("b [c] h w", {"scale": "c", "bias": "c"}),
        ("b [c] h w", {"bias": "c"}),
        ("b [c h] w", {"scale": "c h"}),
        ("b [c] h w", {"measure": "mean_square", "center": False, "scale": "c"}),
    ],
)
def test_moved_axes_give_what_the_formula_gives(
    pattern: str, fields: dict[str, Any], last: bool
) -> None:
    memory = torch.channels_last if last else torch.contiguous_format
    x = torch.rand(2, 6, 5, 4, generator=torch.Generator().manual_seed(1))
    x = x.contiguous(memory_format=memory).requires_grad_()
    stated = spec(pattern, **fields)
    layer = Norm(stated)
    y = layer(x)
    assert y.stride() == x.stride()
    wanted, _ = formula.normalize(
        x, stated, stated.layout(x.shape), scale=layer.weight, bias=layer.bias
    )
    torch.testing.assert_close(y, wanted)
    inputs = [x, *layer.parameters()]
    for one, other in zip(
        torch.autograd.grad(y.square().sum(), inputs),
        torch.autograd.grad(wanted.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_layout_counts() -> None:
    shape = (8, 16, 8, 8)
    planes = least(BATCH, shape, torch.float32)
    pixels = least(BATCH, shape, torch.float32, last=True)
    assert planes.alone < planes.derived < pixels.alone == pixels.derived
    assert least(BATCH, shape, torch.bfloat16).alone == pixels.alone


def test_what_torch_takes_from_the_system_anew_is_left_to_kernels(retained: None) -> None:
    stated = spec("b [c]", scale="c", bias="c")
    assert min(least(stated, (64, 768), torch.bfloat16)) > 1 << 40
    assert min(least_applied()) > 1 << 40
    retain_memory(False)
    assert max(least(stated, (64, 768), torch.bfloat16)) < 64 * MIB
    assert max(least_applied()) < 64 * MIB


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("LayerNorm(6)", (4, 6)),
        ("RMSNorm(6)", (4, 6)),
        ("GroupNorm(2, 6)", (4, 6, 5)),
        ("InstanceNorm1d(6, affine=True)", (4, 6, 5)),
        ("BatchNorm1d(6)", (4, 6, 5)),
    ],
)
def test_small_inputs_give_the_very_bits_of_torchs_layer(
    text: str, shape: tuple[int, ...], training: bool
) -> None:
    name, _, arguments = text.rstrip(")").partition("(")
    options = {"affine": True} if "affine" in arguments else {}
    numbers = [int(n) for n in arguments.split(", ") if n.isdigit()]
    layer: torch.nn.Module = getattr(torch.nn, name)(*numbers, **options).train(training)
    ours = Norm(f"torch.{text}").train(training)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for _ in range(2):
        assert ours(x).equal(layer(x))
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_no_own_call_where_torch_computes_something_else() -> None:
    for stated in (
        spec("b [c]", eps_outside=0.1),
        spec("b [c]", scale="c", scale_shift=1),
        spec("[b] c"),
        spec("b (g [c])", g=2, scale="g c"),
        spec("b c [s]", bias="c"),
    ):
        shape = (4, 6, 5) if "s]" in str(stated.pattern) else (4, 6)
        assert own_call(stated, shape) is None
    assert own_call(spec("b [c]"), (4, 1)) is None


@pytest.mark.parametrize("needs", [False, True])
def test_each_size_goes_its_way(needs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    by_kernels = compute.autograd.normalize

    def counted(given: Any, *others: Any, **options: Any) -> Any:
        ran.append(given.x.nbytes)
        return by_kernels(given, *others, **options)

    monkeypatch.setattr(compute.autograd, "normalize", counted)
    layer = Norm("torch.BatchNorm2d(16)")
    edge = least(BATCH, (8, 16, 8, 8), torch.float32)
    for size in (edge.alone // 2, edge.alone, edge.derived):
        x = torch.rand(size // (16 * 64 * 4), 16, 8, 8)
        with torch.set_grad_enabled(needs):
            layer(x)
    assert ran == ([edge.derived] if needs else [edge.alone, edge.derived])
