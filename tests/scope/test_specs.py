"""A normalization of a random spec: the words found from outside are those of its pattern."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings

from layers_from_specs import Case, cases, numpy_layer
from normscope.notation.axis_words import axis_word
from normscope.scope import scope


@settings(max_examples=100)
@given(case=cases())
def test_words_are_those_of_the_pattern(case: Case) -> None:
    layout = case.spec.layout(case.shape)
    # of two values that are centred only their order is left; of a maximum, whether it is one
    assume(math.prod(layout.known_sizes[i] for i in layout.shared) > 2)
    assume(str(case.spec.measure) != "max")
    x = np.random.default_rng(0).normal(size=case.shape)
    found = scope(numpy_layer(case, np.float64), x, axes=case.axes, all_axes=True)
    words = [axis_word(layout, dim) for dim in range(len(case.shape))]
    assert list(found.axes["inference"]["input"]["output"].values()) == words, found
    assert found.samples_independent["inference"] is (words[0] == "independent")
