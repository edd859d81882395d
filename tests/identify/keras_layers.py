"""Run by test_keras.py in a process of its own, for one backend: prints what was found as JSON."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")  # of what the frameworks warn when they start is not the question

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from normscope.identify import identify  # noqa: E402

SHAPE = (4, 5, 6, 8)


def adapted(**settings: object) -> keras.Layer:
    layer = layers.Normalization(**settings)
    layer.adapt(np.random.default_rng(0).normal(3, 2, (9, *SHAPE[1:])).astype("float32"))
    return layer


LAYERS = {
    "batch": lambda: layers.BatchNormalization(),
    "batch, axis 1": lambda: layers.BatchNormalization(axis=1, momentum=0.9, scale=False),
    "batch, frozen": lambda: layers.BatchNormalization(trainable=False),
    "layer": lambda: layers.LayerNormalization(),
    "layer, scaled only": lambda: layers.LayerNormalization(rms_scaling=True),
    "group": lambda: layers.GroupNormalization(4),
    "group, instance": lambda: layers.GroupNormalization(-1),
    "rms": lambda: layers.RMSNormalization(),
    "rms, last two": lambda: layers.RMSNormalization(axis=[2, 3]),
    "unit": lambda: layers.UnitNormalization(),
    "unit, space": lambda: layers.UnitNormalization(axis=(1, 2)),
    "adapted": lambda: adapted(),
    "adapted, one for all": lambda: adapted(axis=None),
    "given statistics": lambda: layers.Normalization(mean=1.0, variance=4.0),
    "renorm": lambda: layers.BatchNormalization(renorm=True),
    "spectral": lambda: layers.SpectralNormalization(layers.Dense(8)),
    "dense": lambda: layers.Dense(8),
    "dropout": lambda: layers.Dropout(0.5),
    "softmax": lambda: layers.Softmax(),
    "leaky relu": lambda: layers.LeakyReLU(),
}


def main() -> None:
    found = {}
    for name, make in LAYERS.items():
        layer = make()
        if name not in ("dense", "dropout") and not layer.built:
            layer.build(SHAPE)
        before = [np.array(keras.ops.convert_to_numpy(v.value)) for v in layer.variables]
        result = identify(layer, SHAPE, "b h w c")
        after = [np.array(keras.ops.convert_to_numpy(v.value)) for v in layer.variables]
        untouched = all(map(np.array_equal, before, after))
        found[name] = {
            **result.to_dict(),
            "headline": result.headline,
            "calls": result.calls,
            "untouched": untouched,
        }
    json.dump({"backend": keras.backend.backend(), "found": found}, sys.stdout)


main()
