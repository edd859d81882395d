"""Which framework an object is of, told by the modules that its classes come from."""

from __future__ import annotations

from typing import Any

_HOMES = {
    # a Keras layer on the torch backend is a module of torch too, so Keras comes first
    "keras": ("keras.src.layers.layer", "Layer"),
    "torch": ("torch.nn.modules.module", "Module"),
    "nnx": ("flax.nnx.module", "Module"),
    "linen": ("flax.linen.module", "Module"),
    "equinox": ("equinox._module", "Module"),
}


def framework(layer: Any) -> str | None:
    """The framework of a layer, or of the first of a pair.

    >>> framework(3) is None
    True
    """
    subject = layer[0] if type(layer) in (tuple, list) and layer else layer
    kinds = type(subject).__mro__
    for name, (home, cls) in _HOMES.items():
        if any(kind.__module__.startswith(home) and kind.__name__ == cls for kind in kinds):
            return name
    home = type(subject).__module__
    if home.startswith("haiku."):
        return "haiku"
    return "onnx" if home.startswith(("onnx.", "onnx_ml", "onnxruntime.")) else None
