"""What the tests of traces share: a model is traced, and asked what depends on what."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.inputs import Inputs, Passing
from normscope.frameworks.keras.live import KerasLive
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import Graph
from normscope.graph.proof import Proof, samples_apart
from normscope.graph.replay import replay


def sequential(shape: tuple[int, ...], *layers: Any, **named: Any) -> Any:
    """A model of these layers, one after the other."""
    return keras.Sequential([keras.Input(shape, **named), *layers])


def live_of(model: Any, inputs: Any) -> KerasLive:
    given = Inputs(inputs, model.call, Passing.WHOLE)
    return KerasLive(model, lambda live: given.arguments(live.leaf))


def traced(model: Any, inputs: Any, training: bool) -> Graph:
    live = live_of(model, inputs)
    with live.kept():
        live.put_back()
        return live.trace(live.inputs(inputs), training)


def proved(model: Any, inputs: Any, training: bool) -> Proof:
    graph = traced(model, inputs, training)
    return samples_apart(graph, [0] * len(graph.inputs))


def replayed(graph: Graph, inputs: Any) -> list[NDArray[Any]]:
    """The outputs, computed node by node."""
    arrays = keras.tree.flatten(inputs)
    given = zip(graph.inputs, arrays, strict=True)
    known = {value: graph.arrays.from_numpy(array, value.dtype) for value, array in given}
    return [graph.arrays.to_numpy(one) for one in replay(graph, graph.outputs, known)]


def called(model: Any, inputs: Any, training: bool) -> list[NDArray[Any]]:
    """The outputs of a call, after which the model is as before."""
    live = live_of(model, inputs)
    with live.kept():
        live.put_back()
        with live.without_gradients():
            outputs = live.call(*live.inputs(inputs).arguments(live.leaf), training)
        flat = [one for _, one in arrays_by_name(outputs, "")]
        return [np.array(keras.ops.convert_to_numpy(one), "float64") for one in flat]


def is_coupled(model: Any, inputs: Any, training: bool) -> bool:
    """Whether another sample changes some output of a sample, as far as trying tells."""
    rng = np.random.default_rng(1)
    before = called(model, inputs, training)
    flat = [np.array(array) for array in keras.tree.flatten(inputs)]
    for sample in range(flat[0].shape[0]):
        for scale in (1.0, 30.0):
            other = [array.copy() for array in flat]
            for array in other:
                if array.dtype.kind == "f":
                    array[sample] = scale * rng.standard_normal(array[sample].shape)
                else:
                    array[sample] = (array[sample] + 1) % 2
            after = called(model, keras.tree.pack_sequence_as(inputs, other), training)
            for one, two in zip(before, after, strict=True):
                rows = np.arange(one.shape[0]) != sample if one.ndim else np.array([True])
                a, b = (np.atleast_1d(x)[rows] for x in (one, two))
                if not np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True):
                    return True
    return False
