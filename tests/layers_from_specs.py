"""Layers built from a spec, in NumPy and in torch: what `identify` must find the spec of.

They are written from the formula alone and share no code with the package but the layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import torch

from normscope import NormSpec

NAMES = "bcdw"


@dataclass(frozen=True)
class Case:
    """A spec and a shape that it fits."""

    spec: NormSpec
    shape: tuple[int, ...]

    @property
    def axes(self) -> str:
        return " ".join(NAMES[: len(self.shape)])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Patterns of whole, grouped and interleaved axes, with every field drawn."""
    rank = draw(st.integers(2, 4))
    words, shape, sizes, atoms = [], [], {}, []
    for name in NAMES[:rank]:
        kind = draw(st.sampled_from(["kept", "shared", "kept", "shared", "grouped", "interleaved"]))
        if kind in ("kept", "shared"):
            size = draw(st.integers(2, 6))
            words.append(f"[{name}]" if kind == "shared" else name)
            shape.append(size)
            atoms.append((name, size, kind == "shared"))
            continue
        groups, members = draw(st.integers(2, 3)), draw(st.integers(2, 4))
        group = "g" if "g" not in sizes else f"g{sum(key[0] == 'g' for key in sizes) + 1}"
        pieces = [(group, groups, False), (name, members, True)]
        if kind == "interleaved":
            pieces.reverse()
        sizes[group] = groups
        atoms += pieces
        written = " ".join(f"[{word}]" if shared else word for word, _, shared in pieces)
        words.append(f"({written})")
        shape.append(groups * members)
    if not any(shared for _, _, shared in atoms):
        words[-1], atoms[-1] = f"[{words[-1]}]", (*atoms[-1][:2], True)
    set_size = int(np.prod([size for _, size, shared in atoms if shared]))
    measure = draw(
        st.sampled_from(
            ["variance", "variance", "variance", "mean_square", "l2", "l1", "max", "none"]
        )
    )
    names = [name for name, _, _ in atoms]
    parameter = st.none() | st.lists(st.sampled_from(names), unique=True, max_size=2).map(
        lambda chosen: " ".join(name for name in names if name in chosen)
    )
    scale = draw(parameter)
    spec = NormSpec(
        " ".join(words).replace("] [", " "),
        sizes=sizes,
        center=measure == "none" or draw(st.booleans()),
        measure=measure,
        ddof=draw(st.integers(0, int(measure in ("variance", "mean_square") and set_size > 2))),
        scale=scale,
        bias=draw(parameter),
        scale_shift=0 if scale is None else draw(st.integers(0, 1)),
        **({} if measure == "none" else draw(constants())),
    )
    return Case(spec, tuple(shape))


@st.composite
def constants(draw: st.DrawFn) -> dict[str, float]:
    """eps, eps_outside and floor: one of them or none, or eps inside and outside; or a guard."""
    value = st.sampled_from([1e-12, 1e-8, 1e-6, 1e-5, 1e-3, 0.1]) | st.floats(-12, -1).map(
        lambda log: float(f"{10**log:.2e}")
    )
    kinds = ["eps", "eps", "eps_outside", "floor", "none", "both", "unit_below", "zero", "guarded"]
    kind = draw(st.sampled_from(kinds))
    if kind == "zero":
        return {"eps": 0.0, "unit_below": 0.0}
    if kind == "guarded":
        constant = draw(st.sampled_from([{"eps": 1e-6}, {"eps": 0.0, "eps_outside": 1e-3}]))
        return {**constant, "unit_below": draw(st.sampled_from([0.01, 0.025]))}
    if kind == "both":
        both = draw(st.sampled_from([1e-6, 1e-4, 1e-3]))
        return {"eps": both, "eps_outside": both}
    return {"eps": 0.0, **({} if kind == "none" else {kind: draw(value)})}


def numpy_layer(
    case: Case, dtype: type, scale: np.ndarray | None = None, bias: np.ndarray | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """The spec as a function of arrays, computed in `dtype`."""
    spec, layout = case.spec, case.spec.layout(case.shape)
    shared = layout.shared
    count = int(np.prod([layout.known_sizes[i] for i in shared]))

    def layer(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x).astype(dtype).reshape(layout.known_sizes)

        def total(values: np.ndarray) -> np.ndarray:
            return values.sum(axis=shared, keepdims=True)

        mean = total(x) / dtype(count)
        match str(spec.measure):
            case "variance":
                v = total((x - mean) ** 2) / dtype(count - spec.ddof)
            case "mean_square":
                v = total(x**2) / dtype(count - spec.ddof)
            case "l2":
                v = total(x**2)
            case "l1":
                v = total(abs(x)) ** 2
            case "max":
                v = abs(x).max(axis=shared, keepdims=True) ** 2
            case "none":
                v = np.ones_like(mean)
        divisor = np.sqrt(v + dtype(spec.eps)) + dtype(spec.eps_outside)
        if spec.unit_below is not None:
            small = (divisor == 0) | (divisor < dtype(spec.unit_below))
            divisor = np.where(small, dtype(1), divisor)
        y = (x - mean if spec.center else x) / np.maximum(divisor, dtype(spec.floor))
        if scale is not None:
            y = y * placed(case, spec.scale, scale).astype(dtype)
        if bias is not None:
            y = y + placed(case, spec.bias, bias).astype(dtype)
        return y.reshape(case.shape)

    return layer


def placed(case: Case, names: str, values: np.ndarray) -> np.ndarray:
    """A parameter, its axes in the order of the array, ready to broadcast."""
    layout = case.spec.layout(case.shape)
    axes = layout.named(names)
    return values.reshape([n if i in axes else 1 for i, n in enumerate(layout.known_sizes)])


def parameter(case: Case, names: str | None, rng: np.random.Generator) -> np.ndarray | None:
    if names is None:
        return None
    layout = case.spec.layout(case.shape)
    return rng.uniform(0.5, 2.0, [layout.known_sizes[i] for i in layout.named(names)])


class TorchLayer(torch.nn.Module):
    """The spec as a module of torch, with its parameters."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        super().__init__()
        self.case = case
        layout = case.spec.layout(case.shape)
        self.sizes, self.shared = layout.known_sizes, layout.shared
        for name, start in (("scale", 1.0 - case.spec.scale_shift), ("bias", 0.0)):
            axes = getattr(case.spec, name)
            if axes is None:
                self.register_parameter(name, None)
            else:
                sizes = [self.sizes[i] for i in layout.named(axes)]
                self.register_parameter(
                    name, torch.nn.Parameter(torch.full(sizes, start, dtype=dtype))
                )

    def along(self, name: str) -> torch.Tensor:
        layout = self.case.spec.layout(self.case.shape)
        axes = layout.named(getattr(self.case.spec, name))
        shape = [n if i in axes else 1 for i, n in enumerate(self.sizes)]
        return getattr(self, name).reshape(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spec, dims = self.case.spec, self.shared
        x = x.reshape(self.sizes)
        mean = x.mean(dims, keepdim=True)
        count = x.numel() // mean.numel()
        match str(spec.measure):
            case "variance":
                v = ((x - mean) ** 2).sum(dims, keepdim=True) / (count - spec.ddof)
            case "mean_square":
                v = (x**2).sum(dims, keepdim=True) / (count - spec.ddof)
            case "l2":
                v = (x**2).sum(dims, keepdim=True)
            case "l1":
                v = x.abs().sum(dims, keepdim=True) ** 2
            case "max":
                v = x.abs().amax(dims, keepdim=True) ** 2
            case "none":
                v = torch.ones_like(mean)
        divisor = (torch.sqrt(v + spec.eps) + spec.eps_outside).clamp(min=spec.floor)
        if spec.unit_below is not None:
            divisor = torch.where((divisor == 0) | (divisor < spec.unit_below), 1.0, divisor)
        y = (x - mean if spec.center else x) / divisor
        if self.scale is not None:
            y = y * (self.along("scale") + spec.scale_shift)
        if self.bias is not None:
            y = y + self.along("bias")
        return y.reshape(self.case.shape)
