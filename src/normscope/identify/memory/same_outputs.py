"""Whether other arrays, or the other mode, give the same outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normscope.identify.subject.mode import Mode
from normscope.identify.subject.nan_statistics import largest


def same_outputs(training: Mode) -> bool:
    """Whether inference gives the same outputs as training, on inputs of several sizes."""
    inference = replace(training, training=False)
    for size in (1e-3, 1.0, 1e3):
        x = size * (training.rng.standard_normal(training.shape) + 0.5)
        # inference first: a layer may remember what training has just seen
        try:
            infer, trained = inference(x), training(x)
        except Exception:  # one of them may need what the other has left
            return False
        if trained.shape != infer.shape or not np.isfinite(trained).any():
            return False
        if not largest(np.abs(trained - infer)) <= 64 * training.eps * largest(trained):
            return False
    return True


def uses_memory(inference: Mode) -> bool:
    """Whether arrays that training changes have a part in the result of inference."""
    subject = inference.subject
    changed = {
        name: value * 1.5 + 0.5
        for name, value in subject.state.items()
        if name in subject.restless[True]
    }
    if not changed:
        return False
    x = inference.rng.standard_normal(inference.shape)
    before = inference(x)
    with subject.moved(changed):
        return largest(inference(x) - before) > 1e-3 * largest(before)
