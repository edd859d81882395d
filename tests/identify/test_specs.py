"""A layer is built from a random spec, and `identify` has to give that spec back."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from layers_from_specs import Case, TorchLayer, cases, numpy_layer, parameter
from normscope import NormSpec
from normscope.identify import Kind, identify
from normscope.identify.compare import differences

MANY = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(case=cases(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_a_torch_layer_gives_its_spec_back(case: Case, dtype: torch.dtype) -> None:
    found = identify(TorchLayer(case, dtype), case.shape, case.axes)
    assert found.kind is Kind.NORMALIZATION, found
    assert not list(differences(case.spec, found.train, case.shape)), found
    assert found.infer == found.train
    assert found.calls <= 200


@MANY
@given(
    case=cases(),
    dtype=st.sampled_from([np.float32, np.float64]),
    noisy=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_function_with_fixed_parameters_gives_an_equal_formula(
    case: Case, dtype: type, noisy: bool, seed: int
) -> None:
    """Nothing tells how large a fixed scale is, so only what is computed can be compared."""
    rng = np.random.default_rng(seed)
    named = case.spec.scale or None  # one fixed number is a constant factor
    spec = replace(case.spec, scale=named, bias=case.spec.bias or None, scale_shift=0)
    case = replace(case, spec=spec)
    exact = numpy_layer(
        case, dtype, parameter(case, spec.scale, rng), parameter(case, spec.bias, rng)
    )
    layer = with_noise(exact) if noisy else exact
    found = identify(layer, case.shape, case.axes)
    assert found.train is not None, found
    assert found.calls <= 200
    problems = list(
        differences(in_common_units(spec, case), in_common_units(found.train, case), case.shape)
    )
    if spec.scale is None:
        problems = list(differences(spec, found.train, case.shape))
    assert not problems, found


def with_noise(layer):
    """The same layer, each output of which is off by at most one ulp, each time differently."""
    noise = np.random.default_rng(0)

    def noisy(x: np.ndarray) -> np.ndarray:
        y = layer(x)
        direction = noise.integers(-1, 2, y.shape)
        return np.where(
            direction == 0, y, np.nextafter(y, np.sign(direction).astype(y.dtype) * np.inf)
        )

    return noisy


def in_common_units(spec: NormSpec, case: Case) -> NormSpec:
    """Measures that differ by a constant factor as one, with the constants in its units."""
    layout = spec.layout(case.shape)
    count = int(np.prod([layout.known_sizes[i] for i in layout.shared]))
    measure, times = str(spec.measure), (count - spec.ddof) / count
    if measure == "l2":
        measure, times = "mean_square", 1 / count
    return replace(
        spec,
        measure=measure,
        ddof=0,
        eps=spec.eps * times,
        eps_outside=spec.eps_outside * times**0.5,
        floor=spec.floor * times**0.5,
        unit_below=None if spec.unit_below is None else spec.unit_below * times**0.5,
    )


@pytest.mark.parametrize("broken", ["eps", "ddof", "pattern", "scale"])
def test_the_comparison_notices(broken: str) -> None:
    """The twin: a spec with one field changed is not taken for the same."""
    spec = NormSpec("b [c]", scale="c")
    other = {
        "eps": replace(spec, eps=1.01e-5),
        "ddof": replace(spec, ddof=1),
        "pattern": replace(spec, pattern="[b] c"),
        "scale": replace(spec, scale=None),
    }[broken]
    assert len(list(differences(spec, other, (3, 4)))) == 1


@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-8])
@pytest.mark.parametrize("bias", ["", None])
def test_l2_over_36_elements_is_no_hard_sigmoid(bias: str | None, eps: float) -> None:
    """It is a sixth of a division by the root mean square, as a hard sigmoid of that is."""
    spec = NormSpec("[b c] d [w]", center=False, measure="l2", eps=eps, bias=bias)
    case = Case(spec, (3, 3, 2, 4))
    found = identify(TorchLayer(case, torch.float32), case.shape, case.axes)
    assert found.kind is Kind.NORMALIZATION, found
    assert not list(differences(spec, found.train, case.shape)), found
