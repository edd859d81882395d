"""What `normscope warmup` promises: after it no call has to wait for a compiler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from pkgutil import walk_packages
from typing import Any

import numpy as np
import pytest

import normscope.kernels
from normscope import normalize, spec
from normscope.engine.gradients import gradients
from normscope.engine.partial_statistics import partial_statistics_of
from normscope.engine.warmup import DTYPES, steps
from normscope.errors import DtypeError


def _kernels() -> Iterator[Any]:
    """All functions that Python calls and Numba compiles."""
    for found in walk_packages(normscope.kernels.__path__, "normscope.kernels."):
        module = import_module(found.name)
        for function in vars(module).values():
            own = getattr(function, "__module__", None) == module.__name__
            if own and hasattr(function, "signatures") and "NullCache" not in repr(function._cache):
                yield function


def _compiled() -> dict[str, int]:
    return {f"{k.__module__}.{k.__name__}": len(k.signatures) for k in _kernels()}


CASES = [
    ("b [c]", (4, 5000), "c"),
    ("b [c]", (3, 64), "c"),
    ("b [c]", (2, 100_000), "c"),
    ("[b] c", (40, 5000), "c"),
    ("[b] c", (200_000, 3), "c"),
    ("b [c] h w", (2, 8, 6, 6), "c"),
    ("b [c h w]", (2, 8, 20, 20), "c h w"),
    ("b [h w] (g [c])", (2, 6, 6, 16), "g c"),
    ("[b] c [h w]", (3, 8, 100, 100), "c"),
]


@pytest.mark.slow
def test_after_a_warmup_nothing_is_compiled() -> None:
    for step in steps(["float32"]):
        step.call()
    before = _compiled()
    assert len(before) > 10
    rng = np.random.default_rng(0)
    for pattern, shape, along in CASES:
        x = rng.normal(size=shape).astype(np.float32)
        sizes = {"g": 4} if "g" in pattern else {}
        learned, plain = spec(pattern, scale=along, bias=along, **sizes), spec(pattern, **sizes)
        layout = learned.layout(shape)
        scale = np.ones([layout.known_sizes[i] for i in layout.named(along)], np.float32)
        mask = rng.random(shape) > 0.3
        flipped = x[..., ::-1]
        for array, masked, added, slope in product((x, flipped), (0, 1), (0, 1), (None, 0.1)):
            options: dict[str, Any] = {"mask": mask} if masked else {}
            options |= {"residual": x} if added else {}
            options |= {"negative_slope": slope}
            normalize(array, plain, **options)
            _, stats = normalize(
                array, learned, scale=scale, bias=scale, return_stats=True, **options
            )
            normalize(array, plain, mean=stats.mean, var=stats.var, **options)
        for options in ({}, {"mask": mask}):
            partial_statistics_of(x, plain, **options)
            known = {"mean": stats.mean, "rstd": stats.rstd}
            for values in known.values():
                values.flags.writeable = False
            gradients(x, x, plain, **known, **options)
            gradients(x, x, learned, **known, scale=scale, **options)
        for fields in ({"measure": "none"}, {"eps": 0, "unit_below": 0}, {"unit_below": 0.5}):
            for options in ({}, {"mask": mask}):
                other = replace(plain, **fields)
                _, stats = normalize(x, other, return_stats=True, **options)
                normalize(x, other, **options)
                normalize(x, other, mean=stats.mean, var=stats.var, **options)
                one = np.ones_like(stats.rstd)  # which has gradients measure x once more
                gradients(x, x, other, mean=stats.mean, rstd=one, **options)
    assert _compiled() == before


@pytest.mark.slow
def test_the_command_says_what_it_did() -> None:
    command = [sys.executable, "-m", "normscope", "warmup", "float32"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == f"{len(list(steps(['float32'])))} kinds of calls compiled and kept\n"


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(DtypeError, match="no kernels for int8, only for " + ", ".join(DTYPES)):
        list(steps(["int8"]))
