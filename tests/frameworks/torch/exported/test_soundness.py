"""What is proved of an exported program is so: against measured coupling, and the live model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import normscope as ns
from frameworks.torch.programs import PROGRAMS, Machine
from normscope import SpecError
from normscope.frameworks.registry import live_of
from normscope.graph.proof import samples_apart

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)

NAMES = (
    "write_into_a_view",
    "write_into_the_base",
    "write_through_two_views",
    "write_through_two_views_apart",
    "write_into_the_input",
    "running_statistics",
    "stored_statistics",
    "through_a_buffer",
    "through_a_buffer_apart",
    "out_argument_is_a_view",
    "scattered_mean",
    "put_where_known",
    "sorted_samples",
    "cumulated_samples",
    "random_mask",
    "checkpointed_mean",
    "mapped_over_samples",
)


def exported(name: str) -> Any:
    model = Machine(PROGRAMS[name][0]).eval()
    return torch.export.export(model, (torch.from_numpy(X),))


def samples_seen(live: Any) -> bool:
    """Whether another sample changes when one does, in one of several trials."""
    rng = np.random.default_rng(1)

    def called(x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        live.put_back()
        torch.manual_seed(1)
        with torch.no_grad():
            output = live.call((torch.from_numpy(x.copy()),), {}, False)
        leaves = torch.utils._pytree.tree_leaves(output)
        return [leaf.numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    before = called(X)
    for sample in range(4):
        x = X.copy()
        x[sample] = rng.normal(size=6) * 3
        others = np.arange(4) != sample
        for a, b in zip(before, called(x), strict=True):
            if a.shape[:1] != (4,) or not np.array_equal(a[others], b[others], equal_nan=True):
                return True
    return False


@pytest.mark.parametrize("name", NAMES)
def test_what_is_proved_of_an_exported_program_is_so(name: str) -> None:
    live = live_of(exported(name), lambda live: live.inputs(X).arguments(live.leaf), "")
    with live.kept():
        live.put_back()
        proof = samples_apart(live.trace(live.inputs(X), False), [0])
        coupled = samples_seen(live)
    assert not (coupled and proof.verdict == "apart"), "unsound"
    assert proof.verdict == PROGRAMS[name][1], proof.why


def test_a_transformation_that_was_exported_is_refused() -> None:
    with pytest.raises(SpecError, match="give the module that was exported"):
        ns.audit(exported("gradient_inside"), X)
