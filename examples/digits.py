"""The founding network on real data, normalized in four ways.

Eight blocks of three convolutions and a shortcut, as in the question, but narrow, learn to read
handwritten digits. One line differs between the four networks: what is normalized. The picture of
each and the curves of all go into one page.

    python examples/digits.py [--epochs 6] [--blocks 8] [--channels 8]
"""

from __future__ import annotations

import argparse
import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import normscope as ns
from normscope.keras1 import (
    Activation,
    BatchNormalization,
    Convolution2D,
    Dense,
    Flatten,
    Input,
    LeakyReLU,
    Model,
    merge,
)
from normscope.layers.keras import Norm

PAGE = Path(__file__).parents[1] / "build" / "digits.html"
SIZE = 16

Normalization = Callable[[], Any]

VARIANTS: dict[str, tuple[str, Normalization]] = {
    "mode 1 as coded: each image row": (
        "b c h [w]",
        lambda: BatchNormalization(mode=1, contract="ignore"),
    ),
    "each sample as a whole": (
        "b [c h w]",
        lambda: Norm("b [c h w]", eps=1e-3, scale="c", bias="c"),
    ),
    "each channel of each sample (instance norm)": (
        "b c [h w]",
        lambda: Norm("b c [h w]", eps=1e-3, scale="c", bias="c"),
    ),
    "each channel of the batch (batch norm)": (
        "[b] c [h w]",
        lambda: Norm("[b] c [h w]", eps=1e-3, scale="c", bias="c", running=ns.Running(0.9)),
    ),
}


def founding_network(channels: int, blocks: int, normalization: Normalization) -> Model:
    """The network of the question, with a normalization to choose and ten outputs."""
    images = Input(shape=(1, SIZE, SIZE))
    x = convolution(channels)(images)
    for _ in range(blocks):
        c = x
        for _ in range(3):
            c = convolution(channels)(c)
            c = LeakyReLU()(c)
        x = merge([c, x], mode="sum")
        x = normalization()(x)
    # not pooled over the image: instance norm leaves every channel with the same mean
    model = Model(input=images, output=Activation("softmax")(Dense(10)(Flatten()(x))))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convolution(channels: int) -> Convolution2D:
    return Convolution2D(channels, 3, 3, border_mode="same", init="he_normal", dim_ordering="th")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits of scikit-learn, from 8 x 8 to 16 x 16 pixels, channels first."""
    data = load_digits()
    images = np.kron(data.images / 16, np.ones((SIZE // 8, SIZE // 8)))
    return images[:, None].astype("float32"), data.target.astype("int32")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--channels", type=int, default=8)
    options = parser.parse_args()
    x, y = digits()
    train, test = slice(0, 1400), slice(1400, None)
    shape = (None, options.channels, SIZE, SIZE)
    curves: dict[str, list[float]] = {}
    for name, (pattern, normalization) in VARIANTS.items():
        keras.utils.set_random_seed(1)
        begin = time.perf_counter()
        model = founding_network(options.channels, options.blocks, normalization)
        history = model.fit(
            x[train],
            y[train],
            batch_size=50,
            nb_epoch=options.epochs,
            validation_data=(x[test], y[test]),
            verbose=0,
        )
        curves[name] = [float(value) for value in history.history["val_acc"]]
        values = ns.explain(pattern, (50, *shape[1:])).facts.set_size
        print(
            f"{name:44} {pattern:12} {values:>6,} values per set   {curves[name][-1]:6.1%} right "
            f"({time.perf_counter() - begin:.0f} s)"
        )
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(curves, shape), encoding="utf-8")
    print(f"Curves and pictures: {PAGE}")


def page(curves: dict[str, list[float]], shape: tuple[int | None, ...]) -> str:
    pictures = "".join(
        f"<h3>{name}: {pattern}</h3>{ns.explain(pattern, shape).svg}"
        for name, (pattern, _) in VARIANTS.items()
    )
    return (
        "<!DOCTYPE html><meta charset='utf-8'><title>The founding network on digits</title>"
        "<body style='font-family: system-ui; max-width: 46rem; margin: 2rem auto'>"
        f"<h1>The founding network on digits, normalized in four ways</h1>{plot(curves)}{pictures}"
    )


def plot(curves: dict[str, list[float]]) -> str:
    """Accuracy on unseen digits against epochs, as an image inside the page."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=110, layout="constrained")
    lowest = min(min(values) for values in curves.values())
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, marker="o", label=name)
    axes.set(xlabel="epoch", ylabel="right on unseen digits", ylim=(lowest - 0.02, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    memory = io.BytesIO()
    figure.savefig(memory, format="png")
    plt.close(figure)
    picture = base64.b64encode(memory.getvalue()).decode()
    return f"<img style='max-width: 100%' alt='curves' src='data:image/png;base64,{picture}'>"


if __name__ == "__main__":
    main()
