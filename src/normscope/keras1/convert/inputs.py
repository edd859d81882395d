"""The inputs on which a conversion is checked, and the bound on what that may cost."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError
from normscope.keras1.files import ModelFile
from normscope.keras1.network import Network, build_network

Array: TypeAlias = npt.NDArray[Any]

SAMPLES = 2
UNKNOWN_SIZE = 16  # for the sizes that a model leaves open
MAX_VALUES = 2**28  # of all layers together


def check_size(file: ModelFile, dim_ordering: str | None) -> None:
    """Refuse a model that is too large to be checked, before anything is made of it."""
    network = build_network(file.architecture, file.path, dim_ordering)
    shapes = [call.output.shape or () for call in network.calls]
    total = sum(math.prod(size or UNKNOWN_SIZE for size in shape) for shape in shapes)
    if total > MAX_VALUES:
        raise ModelFileError(
            file.path,
            f"its layers give {total:,} values for one input, more than are computed to check a "
            f"conversion ({MAX_VALUES:,})",
        )


def random_inputs(network: Network) -> list[Array]:
    """Random input for each input of a network: normal, or indices in front of an Embedding.

    Sizes that the model leaves open are 16, the number of samples 2.
    """
    generator = np.random.default_rng(0)
    arrays: list[Array] = []
    for call in network.calls:
        if call.layer_class != "InputLayer":
            continue
        sizes = call.output.shape or (None, UNKNOWN_SIZE)
        shape = [size or UNKNOWN_SIZE for size in sizes[1:]]
        shape = [sizes[0] or SAMPLES, *shape]
        words = [
            user.config.get("input_dim")
            for user in network.consumers(call.id)
            if user.layer_class == "Embedding"
        ]
        limits = [word for word in words if isinstance(word, int)]
        if limits:
            arrays.append(generator.integers(0, min(limits), shape).astype("int32"))
        else:
            arrays.append(generator.standard_normal(shape).astype("float32"))
    return arrays
