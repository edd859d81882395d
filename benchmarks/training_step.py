"""Time a training step of the founding network: `Norm` against Keras's own layers.

24 convolutions in 8 residual blocks, each with a normalization at its end, on feature maps of
56 x 56 x 128. Both models run in one process, in turn, so that whatever else the machine does falls
on both.

    KERAS_BACKEND=torch python -m benchmarks.training_step --kinds batch layer --repeats 50
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from normscope.layers.keras import Norm

layers = keras.layers

# kind: the native layer, and its arguments to Norm
KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "batch": (layers.BatchNormalization, lambda: Norm("keras.BatchNormalization")),
    "layer": (layers.LayerNormalization, lambda: Norm("keras.LayerNormalization")),
    "rms": (layers.RMSNormalization, lambda: Norm("keras.RMSNormalization")),
    "group": (
        lambda: layers.GroupNormalization(4),
        lambda: Norm("keras.GroupNormalization", groups=4),
    ),
    "instance": (
        lambda: layers.GroupNormalization(-1),
        lambda: Norm("keras.GroupNormalization", groups=-1),
    ),
}


def founding_network(normalization: Callable[[], Any], size: int, channels: int) -> Any:
    """The network, compiled for training on its own input."""
    start = x = keras.Input((size, size, channels))
    for _ in range(8):
        shortcut = x
        for _ in range(3):
            x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal")(x)
            x = layers.LeakyReLU(0.3)(x)
        x = normalization()(layers.add([x, shortcut]))
    model = keras.Model(start, x)
    model.compile("sgd", "mse")
    return model


def alternating(functions: list[Callable[[], None]], repeats: int) -> list[list[float]]:
    """Seconds of each call, the functions called in turn, each round beginning with another."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats):
        for offset in range(len(functions)):
            index = (turn + offset) % len(functions)
            begin = time.perf_counter()
            functions[index]()
            times[index].append(time.perf_counter() - begin)
    return times


def compare(kind: str, arguments: argparse.Namespace) -> None:
    """Print the median step of both and their ratio."""
    shape = (arguments.batch, arguments.size, arguments.size, arguments.channels)
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    y = rng.normal(size=shape).astype(np.float32)
    models = [founding_network(n, arguments.size, arguments.channels) for n in KINDS[kind]]
    steps = [lambda model=model: model.train_on_batch(x, y) for model in models]
    alternating(steps, arguments.warm_up)
    native, own = alternating(steps, arguments.repeats)
    ratio = statistics.median(b / a for a, b in zip(native, own, strict=True))
    print(
        f"{keras.backend.backend():<11}{kind:<9}"
        f"native {statistics.median(native) * 1e3:7.2f} ms   "
        f"Norm {statistics.median(own) * 1e3:7.2f} ms   "
        f"ratio of medians {statistics.median(own) / statistics.median(native):.3f}   "
        f"median ratio {ratio:.3f}   of minima {min(own) / min(native):.3f}",
        flush=True,
    )


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=56, help="height and width")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        compare(kind, arguments)


if __name__ == "__main__":
    main()
