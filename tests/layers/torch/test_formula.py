"""The formula in torch operators: held against the definition, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from normscope import DtypeError, NormSpec, ShapeError, SpecError, reference, spec
from normscope.layers.torch.formula import normalize, normalized
from strategies import cases, specs


def parameters(
    stated: NormSpec, shape: tuple[int, ...], rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    layout = stated.layout(shape)
    sizes = layout.known_sizes
    return {
        name: torch.from_numpy(rng.normal(size=[sizes[i] for i in layout.named(axes)]))
        for name, axes in (("scale", stated.scale), ("bias", stated.bias))
        if axes is not None
    }


def defined(x: torch.Tensor, stated: NormSpec, **arguments: torch.Tensor | None) -> torch.Tensor:
    given_arrays = {name: None if t is None else t.numpy() for name, t in arguments.items()}
    return torch.from_numpy(np.asarray(reference(x.numpy(), stated, **given_arrays)))


def run(x: torch.Tensor, stated: NormSpec, **arguments: object) -> torch.Tensor:
    return normalize(x, stated, stated.layout(tuple(x.shape)), **arguments)[0]


@given(st.data())
@settings(max_examples=60)
def test_the_formula_agrees_with_the_definition(data: st.DataObject) -> None:
    case = data.draw(cases())
    stated = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    mean = data.draw(st.sampled_from([0, 1, 1e4]))
    x = torch.from_numpy(rng.normal(mean, 1, case.shape)).to(dtype)
    mask = None
    if data.draw(st.booleans()) and not stated.ddof:
        there = data.draw(st.lists(st.booleans(), min_size=x.dim(), max_size=x.dim()))
        lengths = [n if wide else 1 for n, wide in zip(case.shape, there, strict=True)]
        drop = data.draw(st.integers(0, lengths.index(max(lengths))))
        if all(n == 1 for n in lengths[:drop]):
            lengths = lengths[drop:]
        mask = torch.from_numpy(rng.random(lengths) < 0.7)
    learned = parameters(stated, case.shape, rng)
    y = run(x, stated, mask=mask, **learned)
    full = None if mask is None else mask.broadcast_to(x.shape)
    wanted = defined(x, stated, mask=full, **learned)
    assert y.dtype == x.dtype
    size = max(1.0, float(wanted.abs().max()))
    torch.testing.assert_close(y.double(), wanted.double(), rtol=1e-4, atol=1e-4 * size)


FAMILIES = [
    spec("b [c]", scale="c", bias="c"),
    spec("[b] c", scale="c", bias="c"),
    spec("b (g [c])", g=2, scale="g c", bias="g c", ddof=1),
    spec("b [c]", center=False, measure="mean_square", scale="c", scale_shift=1),
    spec("b [c]", center=False, measure="l1", eps=0.0, eps_outside=1e-3),
    spec("b [c]", center=False, measure="l2", eps=0.0, floor=1e-3),
    spec("b [c]", center=False, measure="max", eps=0.1),
    spec("[b] c", measure="none", bias="c"),
    spec("b [c]", eps=0.0, unit_below=1e-3),
]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("stated", FAMILIES, ids=str)
def test_derivatives_are_right_twice(stated: NormSpec, masked: bool) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(1, 2, (4, 6))).requires_grad_()
    learned = {k: v.requires_grad_() for k, v in parameters(stated, (4, 6), rng).items()}
    names = list(learned)
    mask = None
    if masked:
        mask = torch.ones(4, 6, dtype=torch.bool)
        mask[1, 2] = mask[3, 5] = mask[1, 3] = False

    def f(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return run(x, stated, mask=mask, **dict(zip(names, values, strict=True)))

    assert torch.autograd.gradcheck(f, (x, *learned.values()))
    assert torch.autograd.gradgradcheck(f, (x, *learned.values()))


@pytest.mark.parametrize("stated", FAMILIES, ids=str)
def test_given_statistics_are_used(stated: NormSpec) -> None:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(1, 2, (4, 6)))
    layout = stated.layout((4, 6))
    kept = [layout.known_sizes[i] for i in layout.kept]
    mean, var = torch.from_numpy(rng.normal(size=kept)), torch.from_numpy(rng.uniform(1, 2, kept))
    learned = parameters(stated, (4, 6), rng)
    y = normalized(x, stated, layout, mean.flatten(), var, **learned, negative_slope=0.5)
    wanted = defined(x, stated, mean=mean, var=var, **learned)
    torch.testing.assert_close(y, torch.where(wanted > 0, wanted, wanted / 2))


def test_given_statistics_that_are_missing_are_asked_for() -> None:
    x, stated = torch.ones(2, 3), spec("[b] c")
    with pytest.raises(SpecError, match="mean is None"):
        normalized(x, stated, stated.layout((2, 3)), None, torch.ones(3))
    with pytest.raises(SpecError, match="v is None"):
        normalized(x, stated, stated.layout((2, 3)), torch.ones(3), None)


@pytest.mark.parametrize("hidden", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("stated", FAMILIES, ids=str)
def test_what_a_mask_hides_enters_no_statistic(stated: NormSpec, hidden: float) -> None:
    rng = np.random.default_rng(2)
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, 2] = mask[3, 5] = mask[1, 3] = False
    clean = torch.from_numpy(rng.normal(1, 2, (4, 6)))
    learned = parameters(stated, (4, 6), rng)
    results = []
    for x in (clean.requires_grad_(), torch.where(mask, clean.detach(), hidden).requires_grad_()):
        y = run(x, stated, mask=mask, **learned)
        (grad,) = torch.autograd.grad(y[mask].square().sum(), x)
        results.append((y[mask], grad[mask]))
    (y, grad), (dirty_y, dirty_grad) = results
    torch.testing.assert_close(dirty_y, y)
    torch.testing.assert_close(dirty_grad, grad)


def test_sets_with_too_few_values() -> None:
    """None: the bias. Some, but no more than ddof: NaN."""
    stated = spec("b [c]", ddof=2, bias="c")
    mask = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    x = torch.arange(16.0).reshape(4, 4)
    bias = torch.arange(4.0)
    y = run(x, stated, mask=mask, bias=bias)
    assert torch.equal(y[0], bias)
    assert y[1:3].isnan().all()
    assert y[3].isfinite().all()


@pytest.mark.parametrize("mean", [0.0, 20000.0, -3e6])
@pytest.mark.parametrize(
    ("pattern", "sizes"),
    [("[b] c [s...]", {}), ("b [s... c]", {}), ("b c [s...]", {}), ("b (g [c]) [s...]", {"g": 4})],
)
def test_a_large_mean_costs_nothing(pattern: str, sizes: dict[str, int], mean: float) -> None:
    stated = spec(pattern, **sizes)
    x = torch.from_numpy(np.random.default_rng(0).normal(mean, 1, (4, 12, 11, 8)).astype("f4"))
    wanted = defined(x, stated).double()
    torch.testing.assert_close(run(x, stated).double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("value", [0.0, 20000.0, 1 / 3, -1e30])
@pytest.mark.parametrize("pattern", ["[b] c s", "b [s c]", "b [s] c", "[b s c]"])
def test_constant_input_gives_exactly_the_bias(pattern: str, value: float) -> None:
    stated = spec(pattern, bias="c")
    bias = torch.arange(6.0)
    y = run(
        torch.full((3, 35, 6), value) if "c s" not in pattern else torch.full((3, 6, 35), value),
        stated,
        bias=bias,
    )
    axis = 1 if "c s" in pattern else 2
    assert torch.equal(y, bias.reshape([6 if i == axis else 1 for i in range(3)]).expand_as(y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_inputs_have_statistics_in_float32(dtype: torch.dtype) -> None:
    stated = spec("b [c]", scale="c")
    x = torch.from_numpy(np.random.default_rng(0).normal(100, 50, (4, 4096))).to(dtype)
    y, found = normalize(x, stated, stated.layout((4, 4096)), scale=torch.ones(4096))
    wanted = defined(x.double(), stated, scale=torch.ones(4096)).to(dtype)
    assert (y.dtype, found.mean.dtype, found.v.dtype) == (dtype, torch.float32, torch.float32)
    torch.testing.assert_close(y, wanted, rtol=torch.finfo(dtype).eps, atol=1e-3)


def test_a_residual_is_added_and_rounded_first() -> None:
    stated = spec("b [c]")
    x, residual = torch.randn(2, 5, 64, dtype=torch.bfloat16).unbind()
    assert torch.equal(run(x, stated, residual=residual), run(x + residual, stated))


def test_masks_that_do_not_fit_are_refused() -> None:
    x, stated = torch.ones(2, 3, 4), spec("b [s] c")
    with pytest.raises(ShapeError, match="does not broadcast"):
        run(x, stated, mask=torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(ShapeError, match="does not broadcast"):
        run(x, stated, mask=torch.ones(1, 2, 3, 4, dtype=torch.bool))
    with pytest.raises(DtypeError, match="mask != 0"):
        run(x, stated, mask=torch.ones(2, 3, 4))
