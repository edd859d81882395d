"""A layer of float32 that computes in a coarser precision inside is noticed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.identify.subject.coarser_precision import notice_precision
from normscope.identify.subject.precision import PRECISIONS, Precision, rounded
from numpy_layers import asked

Function = Callable[[np.ndarray], np.ndarray]

SHAPE = (8, 16)


def noticed(function: Function) -> tuple[Precision, tuple[str, ...]]:
    return notice_precision(asked(lambda x, arrays, training: function(x), SHAPE))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_input_and_output_are_rounded(kind: str) -> None:
    precision, words = noticed(lambda x: rounded(3 * rounded(x, kind), kind))
    assert (precision.eps, precision.into) == (PRECISIONS[kind], kind)
    assert precision.is_half
    assert precision.of_statistics == PRECISIONS[kind]
    assert words == (f"it computes in {kind} inside",)


def test_only_the_input_is_rounded() -> None:
    precision, _ = noticed(lambda x: np.exp(rounded(x, "bfloat16")))
    assert (precision.eps, precision.into) == (2.0**-23, "bfloat16")
    assert not precision.is_half


@pytest.mark.parametrize("function", [np.exp, np.sign, lambda x: 0 * x])
def test_what_is_not_rounded_or_just_round(function: Function) -> None:
    precision, words = noticed(function)
    assert (precision.eps, precision.into, words) == (2.0**-23, None, ())


def test_a_precision_is_another_value_where_it_is_coarser() -> None:
    precision, _ = noticed(np.exp)
    assert precision.at(2.0**-7).is_half
    assert precision.at(2.0**-7).unit > precision.unit
    assert precision.at(2.0**-52).float32_at_best() == precision
