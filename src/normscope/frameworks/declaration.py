"""`Declaration`: what is known of a layer before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normscope.notation.spec import NormSpec


@dataclass(frozen=True)
class Declaration:
    """What is known of a layer before it runs.

    Attributes:
        title: the layer as its user knows it.
        train, infer: the specs of the two modes.
        documented: the pattern that the layer's documentation promises, where it is narrower than
            what the layer accepts; None where they agree.
        documented_words: the words in which the documentation says so.
        settings: the layer's own settings, by its framework's names; not compared, as the specs
            follow from them.
    """

    title: str
    train: NormSpec
    infer: NormSpec
    documented: str | None = None
    documented_words: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
