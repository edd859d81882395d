# ruff: noqa: E501 (one layer is one line of a table)
"""What running arrays hold: a variance or a deviation, with or without eps, once or part by part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from identified import identified_as
from layers_by_hand import BOTH, IMAGE, LAYER, B, Tensor, W, column, made, mean, plain, stated, var
from normscope import NormSpec, Running
from normscope.identify import identify
from normscope.identify.compare import differences

DIMS = (0, 2, 3)


def remembers(
    divisor: Callable[[Tensor], Tensor],
    stored: Callable[[Tensor], Tensor],
    used: Callable[[Tensor], Tensor],
    share: float = 0.01,
) -> nn.Module:
    """Batch norm: what it divides by in training, what it stores, what it makes of that later."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        if not s.training:
            return column(s.w) * (x - column(s.m.clone())) / used(column(s.v.clone())) + column(s.b)
        with torch.no_grad():
            s.m += share * (mean(x, DIMS).flatten() - s.m)
            s.v += share * (stored(x).flatten() - s.v)
        return column(s.w) * (x - mean(x, DIMS)) / divisor(var(x, DIMS)) + column(s.b)

    return made(forward, {"m": B, "v": W}, **BOTH)


def batch(decay: float = 0.99, **fields: object) -> NormSpec:
    memory = {name: fields.pop(name) for name in ("ddof", "plus_eps") if name in fields}
    running = Running(decay, deviation=True, **memory)  # type: ignore[arg-type]
    return stated("[b] c [h w]", running=running, **LAYER, **fields)


def deviation(x: Tensor) -> Tensor:
    return var(x, DIMS).sqrt()


DEVIATIONS: dict[str, tuple[nn.Module, NormSpec]] = {
    # Keras 1.0.0 to 1.0.5
    **{
        f"as Keras 1.0.5, epsilon {e:g}": (
            remembers(lambda v, e=e: (v + e).sqrt() + e, lambda x, e=e: (var(x, DIMS) + e).sqrt(), lambda v, e=e: v + e),
            batch(eps=e, eps_outside=e, plus_eps=True),
        )
        for e in (1e-6, 1e-5, 1e-3)
    },
    "eps inside, stored with it": (
        remembers(lambda v: (v + 1e-3).sqrt(), lambda x: (var(x, DIMS) + 1e-3).sqrt(), lambda v: v),
        batch(eps=1e-3, plus_eps=True),
    ),
    "eps inside, stored without": (
        remembers(lambda v: (v + 1e-5).sqrt(), deviation, lambda v: (v**2 + 1e-5).sqrt()),
        batch(eps=1e-5),
    ),
    "eps outside": (
        remembers(lambda v: v.sqrt() + 1e-5, deviation, lambda v: v + 1e-5),
        batch(eps=0, eps_outside=1e-5),
    ),
    "no eps": (remembers(lambda v: v.sqrt(), deviation, lambda v: v), batch(eps=0)),
    "a floor": (
        remembers(lambda v: v.sqrt().clamp(min=1e-3), deviation, lambda v: v.clamp(min=1e-3)),
        batch(eps=0, floor=1e-3),
    ),
    "a guard": (
        remembers(
            lambda v: torch.where(v.sqrt() < 1e-3, 1.0, v.sqrt()), deviation, lambda v: torch.where(v < 1e-3, 1.0, v)
        ),
        batch(eps=0, unit_below=1e-3),
    ),
    "unbiased": (
        remembers(lambda v: (v + 1e-5).sqrt(), lambda x: var(x, DIMS, 1).sqrt(), lambda v: (v**2 + 1e-5).sqrt(), 0.1),
        batch(0.9, ddof=1, eps=1e-5),
    ),
    "in float64": (
        remembers(lambda v: (v + 1e-5).sqrt(), deviation, lambda v: (v**2 + 1e-5).sqrt()).double(),
        batch(eps=1e-5),
    ),
    "in float16": (
        remembers(lambda v: (v + 1e-5).sqrt(), deviation, lambda v: (v**2 + 1e-5).sqrt(), 0.1).half(),
        batch(0.9, eps=1e-5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_stored_deviation(name: str) -> None:
    layer, expected = DEVIATIONS[name]
    found = identified_as(expected, layer, IMAGE, "b c h w")
    assert found.infer == found.train.inference(), found
    assert "running deviation, whose square is var" in str(found)
    assert found.calls <= 200


class KerasOfOld:
    """A layer of NumPy arrays that is told its mode, and shows its arrays to nobody."""

    def __init__(self) -> None:
        self.mean, self.std = np.zeros(6, np.float32), np.ones(6, np.float32)

    def __call__(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        m, s = self.mean, self.std
        if training:
            m, s = x.mean(0), np.sqrt(x.var(0) + np.float32(1e-3))
        return (x - m) / (s + np.float32(1e-3))


def test_hidden_arrays_give_no_verdict() -> None:
    found = identify(KerasOfOld(), (8, 6), "n c")
    assert not list(differences(NormSpec("[n] c", eps=1e-3, eps_outside=1e-3), found.train, (8, 6)))
    assert found.infer is None


def test_eps_forgotten_at_inference_is_another_constant() -> None:
    layer = remembers(lambda v: (v + 1e-5).sqrt(), deviation, lambda v: v)
    found = identify(layer, IMAGE, "b c h w")
    assert found.train == batch(eps=1e-5)
    assert found.infer == batch(eps=0).inference()
    assert "inference: inference uses other constants than training" in found.evidence


MISUSED = {
    "a deviation used as a variance": (
        remembers(lambda v: (v + 1e-5).sqrt(), deviation, lambda v: (v + 1e-5).sqrt()),
        "takes the root of a stored array that is a root already",
    ),
    "a variance used as a deviation": (
        remembers(lambda v: (v + 1e-5).sqrt(), lambda x: var(x, DIMS), lambda v: v + 1e-5),
        "divides by a stored array that training moves towards a variance",
    ),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_is_stored_is_misused(name: str) -> None:
    layer, words = MISUSED[name]
    found = identify(layer, IMAGE, "b c h w")
    assert found.train is not None
    assert found.infer is None, found
    assert words in str(found)


def test_eps_added_to_a_deviation_is_not_claimed() -> None:
    """Std plus eps is stored: `plus_eps` would say that it stands inside the root."""
    layer = remembers(
        lambda v: v.sqrt() + 0.01, lambda x: deviation(x) + 0.01, lambda v: v, share=0.1
    )
    found = identify(layer, IMAGE, "b c h w")
    assert found.train is None, found


def test_stored_deviations_are_compared() -> None:
    one, other = batch(), NormSpec("[b] c [h w]", running=Running(0.99), **LAYER)
    assert list(differences(other, one, IMAGE)) == [
        "what is stored is the deviation instead of the variance"
    ]
    assert list(differences(one, other, IMAGE)) == [
        "what is stored is the variance instead of the deviation"
    ]


# --- ghost batch norm: a batch in parts, each with statistics of its own ---------------------------


def in_parts(parts: int) -> nn.Module:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        apart = x.unflatten(0, (parts, -1))
        return column(s.w) * plain(apart, (1, 3, 4)).flatten(0, 1) + column(s.b)

    return made(forward, **BOTH)


def interleaved(parts: int) -> nn.Module:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        return plain(x.unflatten(0, (-1, parts)), (0, 3, 4)).flatten(0, 1)

    return made(forward)


class Ghost(nn.Module):
    """The usual form: one batch norm is called with one part after another."""

    def __init__(self, parts: int, norm: nn.Module) -> None:
        super().__init__()
        self.parts, self.norm = parts, norm

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.norm(x)
        return torch.cat([self.norm(part) for part in x.chunk(self.parts)])


class GhostOfAverages(nn.Module):
    """The running statistics move once, towards the average over the parts."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("m", B.clone())
        self.register_buffer("v", W.clone())

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return (x - column(self.m)) / (column(self.v) + 1e-5).sqrt()
        apart = x.unflatten(0, (self.parts, -1))
        self.m.lerp_(mean(apart, (1, 3, 4)).mean(0).flatten(), 0.1)
        self.v.lerp_(var(apart, (1, 3, 4)).mean(0).flatten(), 0.1)
        return plain(apart, (1, 3, 4)).flatten(0, 1)


@pytest.mark.parametrize(("parts", "samples"), [(2, 4), (2, 8), (4, 8), (8, 16), (3, 12), (16, 32)])
def test_ghost_batch_norm(parts: int, samples: int) -> None:
    shape = (samples, 8, 4, 3)
    expected = stated("(g [b]) c [h w]", sizes={"g": parts}, **LAYER)
    found = identified_as(expected, in_parts(parts), shape, "b c h w")
    assert found.train_axes["b"] == f"grouped {parts}"
    assert found.calls <= 80


@pytest.mark.parametrize(("parts", "samples"), [(2, 8), (4, 16), (16, 32)])
def test_ghost_batch_norm_of_interleaved_parts(parts: int, samples: int) -> None:
    shape = (samples, 8, 4, 3)
    expected = stated("([b] g) c [h w]", sizes={"g": parts})
    found = identified_as(expected, interleaved(parts), shape, "b c h w")
    assert found.train_axes["b"] == f"interleaved {parts}"


@pytest.mark.parametrize("parts", [2, 4, 8])
@pytest.mark.parametrize("momentum", [0.1, 0.02])
def test_parts_that_update_the_running_statistics_in_turn(parts: int, momentum: float) -> None:
    shape = (4 * parts, 8)
    running = Running(1 - momentum, ddof=1)
    expected = stated("(g [n]) c", sizes={"g": parts}, running=running, **LAYER)
    found = identified_as(
        expected, Ghost(parts, nn.BatchNorm1d(8, momentum=momentum)), shape, "n c"
    )
    assert found.infer == expected.inference()
    assert (
        f"once for each of the {parts} parts of the batch in turn, so that one call leaves "
        f"{(1 - momentum) ** parts:.4g} of the old values"
    ) in str(found)
    assert found.calls <= 200


def test_images_in_parts_in_turn() -> None:
    shape = (8, 8, 6, 5)
    expected = stated("(g [b]) c [h w]", sizes={"g": 2}, running=Running(0.9, ddof=1), **LAYER)
    identified_as(expected, Ghost(2, nn.BatchNorm2d(8)), shape, "b c h w")


def test_running_statistics_of_the_average_over_the_parts() -> None:
    shape = (8, 8, 6, 5)
    expected = stated("(g [b]) c [h w]", sizes={"g": 2}, running=Running(0.9))
    found = identified_as(expected, GhostOfAverages(2), shape, "b c h w")
    assert "in turn" not in str(found)


@pytest.mark.parametrize(("size", "samples", "parts"), [(3, 8, "3, 3 and 2"), (4, 7, "4 and 3")])
def test_a_remainder_is_no_pattern(size: int, samples: int, parts: str) -> None:
    layer = made(lambda s, x: torch.cat([plain(part, (0, 2, 3)) for part in x.split(size)]))
    found = identify(layer, (samples, 8, 6, 5), "b c h w")
    assert str(found.kind) == "unknown"
    assert found.train is None
    assert f"the elements that see each other form sets of {parts} along b" in str(found)
