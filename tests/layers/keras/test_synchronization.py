"""Replicas together must find what one process finds on the joined batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from layers.keras import synchronized_training
from normscope import SpecError, spec
from normscope.layers.keras import Norm

BACKEND = keras.backend.backend()


def found(folder: Path, replicas: int) -> dict[str, dict[str, np.ndarray]]:
    """What `replicas` replicas of this backend find, in each kind of step."""
    folder.mkdir()
    script = [sys.executable, synchronized_training.__file__, BACKEND]
    ranks = range(replicas) if BACKEND == "torch" else [None]
    runs = [
        subprocess.Popen(
            [*script, *([] if rank is None else [str(rank)]), str(replicas), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ranks
    ]
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0, output
    return {
        kind: joined([dict(np.load(folder / f"{kind}{rank}.npz")) for rank in range(len(runs))])
        for kind in synchronized_training.KINDS
    }


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The parts of the batch as one; what all replicas share must be equal."""
    for other in parts[1:]:
        for name in ("dgamma", "dbeta", "moving_mean", "moving_variance"):
            np.testing.assert_array_equal(other[name], parts[0][name])
    return parts[0] | {name: np.concatenate([p[name] for p in parts]) for name in ("y", "dx")}


def test_replicas_equal_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    replicas = 2 if BACKEND == "tensorflow" else 4
    together = found(tmp_path / "together", replicas)
    for kind, alone in found(tmp_path / "alone", 1).items():
        for name, wanted in alone.items():
            np.testing.assert_allclose(
                together[kind][name], wanted, rtol=1e-4, atol=1e-4, err_msg=f"{name} {kind}"
            )


def test_sets_within_one_sample_are_not_synchronized() -> None:
    layer = Norm("b [c]", synchronized=True)
    assert layer(np.ones((2, 3), "float32")).shape == (2, 3)


def test_an_axis_that_replicas_divide_may_not_be_split() -> None:
    layer = Norm(spec("(g [b]) c", g=2), synchronized=True)
    with pytest.raises(SpecError, match="partly inside and partly outside"):
        layer(np.ones((4, 3), "float32"))
