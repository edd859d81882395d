"""What users of Equinox write instead."""

from __future__ import annotations

from dataclasses import replace

from normscope.frameworks.jax.advice import ADVICE as OF_JAX


def without_bias(path: str) -> str:
    """How the layer at a path is told to add no bias."""
    return f"give {path} use_bias=False"


ADVICE = replace(
    OF_JAX,
    framework="Equinox",
    without_bias=without_bias,
    running_statistics="equinox.nn.BatchNorm under equinox.nn.inference_mode",
)
