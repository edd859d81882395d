"""Models of timm, small ones of each kind, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NAMES = (
    ("resnet18", 64),
    ("resnetv2_50", 64),
    ("convnext_atto", 64),
    ("vit_tiny_patch16_224", 224),
    ("swin_tiny_patch4_window7_224", 224),
    ("efficientnet_b0", 64),
    ("mobilenetv3_small_100", 64),
    ("regnety_002", 64),
    ("densenet121", 64),
    ("mixer_s16_224", 224),
    ("vgg11_bn", 64),
    ("ghostnet_100", 64),
    ("poolformer_s12", 64),
    ("levit_128s", 224),
    ("coat_lite_tiny", 224),
)


def models() -> Iterator[tuple[str, Callable[[], tuple[Any, Any]]]]:
    """The name of each, and what makes the model and an input."""
    for name, size in NAMES:
        yield f"timm {name}", lambda name=name, size=size: _made(name, size)


def _made(name: str, size: int) -> tuple[Any, Any]:
    import timm
    import torch

    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(4, 3, size, size)).astype("float32")
    return timm.create_model(name, pretrained=False), x
