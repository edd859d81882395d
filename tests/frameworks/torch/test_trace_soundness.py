"""No program is proved to keep samples apart whose samples are seen to meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from frameworks.torch import programs
from frameworks.torch.programs import PROGRAMS, Machine
from normscope.frameworks.registry import live_of
from normscope.frameworks.torch.live import TorchLive
from normscope.graph.operators import Graph
from normscope.graph.proof import samples_apart

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def graph_of(model: torch.nn.Module, x: Any, training: bool = False) -> Graph:
    live = live_of(model, lambda live: live.inputs(x).arguments(live.leaf), "")
    assert isinstance(live, TorchLive)
    with live.kept():
        live.put_back()
        return live.trace(live.inputs(x), training)


def leaves(output: Any) -> list[np.ndarray]:
    if isinstance(output, torch.Tensor):
        return [output.detach().numpy().astype(np.float64)]
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return [leaf for part in output for leaf in leaves(part)]
    return [] if output is None else leaves(list(vars(output).values()))


def called(name: str, x: np.ndarray) -> list[np.ndarray]:
    """On a fresh machine, whose random numbers are the same each time."""
    machine = Machine(PROGRAMS[name][0]).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        return leaves(machine(torch.from_numpy(x.copy())))


def is_coupled(name: str) -> bool:
    """Whether another sample changes when one does, in one of several trials."""
    rng = np.random.default_rng(1)
    before = called(name, X)
    for trial in range(8):
        sample = trial % 4
        x = X.copy()
        x[sample] = rng.normal(size=6) * 3 + trial
        for a, b in zip(before, called(name, x), strict=True):
            if a.shape != b.shape or not a.shape or a.shape[0] != 4:
                return True
            others = np.arange(4) != sample
            if not np.array_equal(a[others], b[others], equal_nan=True):
                return True
    return False


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_proved_is_so(name: str) -> None:
    program, expected = PROGRAMS[name]
    proof = samples_apart(graph_of(Machine(program), X), [0])
    coupled = is_coupled(name)
    assert not (coupled and proof.verdict == "apart"), "unsound"
    assert proof.verdict == expected, proof.why
    assert coupled == (expected == "meet") or expected == "unknown"


def test_there_are_many_programs() -> None:
    assert len(PROGRAMS) > 81
    assert programs.PROGRAMS is PROGRAMS
