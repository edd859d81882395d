"""The conventions of a file that live layers take over: the backend and the release that wrote it.

What a file does not tell is assumed, and said: `LoadWarning`, with how the outputs would differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from normscope.frameworks.keras1.presets import facts_of
from normscope.keras1.files import Backend
from normscope.keras1.live.layers.base import ORIGINS, Keras1Layer, one_of
from normscope.keras1.live.layers.normalization import BatchNormalization
from normscope.keras1.network.releases import StoredNorm, assumptions


class LoadWarning(UserWarning):
    """Something of a file was assumed or left out; the message says what."""


@dataclass(frozen=True)
class Told:
    """What is known of who wrote a file: the backend, by its conventions, and the release."""

    origin: str | None
    release: str | None

    @classmethod
    def by_user(cls, backend: str | None, release: str | None) -> Told:
        """What the user gave.

        Raises:
            SpecError: there is no such backend or release.
        """
        if release is not None:
            facts_of(release)
        return cls(None if backend is None else one_of("backend", backend, ORIGINS), release)

    @property
    def backend(self) -> Backend | None:
        """The backend, whichever its version."""
        return backend_of_origin(self.origin)


def backend_of_origin(origin: str | None) -> Backend | None:
    """The backend of the conventions "tensorflow", "theano" or "theano<0.9"."""
    if origin is None:
        return None
    return "tensorflow" if origin == "tensorflow" else "theano"


def normalizations(model: keras.Model) -> list[BatchNormalization]:
    """Every `BatchNormalization` of Keras 1 in a model, those in wrappers and nested models too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, BatchNormalization)]


def adopt(model: keras.Model, told: Told, file_release: str | None, path: str) -> None:
    """Let the layers of a model compute by the conventions of who wrote their weights.

    Args:
        model: with the weights of the file.
        told: what is known; a release in it is the user's word, and counts before all.
        file_release: what the file says of itself.
        path: of the file, for the messages.

    Warns:
        LoadWarning: a layer is of a release that normalized in another way than that of the file.
    """
    model.stored_origin = told.origin
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, Keras1Layer)]
    before = [_formula(layer) for layer in layers]
    for layer in layers:
        layer.origin = told.origin or layer.origin
        if isinstance(layer, BatchNormalization):
            _adopt_release(layer, told.release, file_release, path)
    if before != [_formula(layer) for layer in layers]:
        for compiled in ("train_function", "test_function", "predict_function"):
            setattr(model, compiled, None)  # made for the old formula; Keras makes it anew


def _formula(layer: Keras1Layer) -> tuple[str, object]:
    return layer.origin, getattr(layer, "spec", None)


def _adopt_release(
    layer: BatchNormalization, given: str | None, of_file: str | None, path: str
) -> None:
    was, known = layer.release, layer.release_told
    release = given or of_file
    layer.be_of(release or was, told=known or release is not None)
    if given is not None or not known or layer.mode != 0:
        return
    before, after = (facts_of(r).divisor(layer.origin) for r in (was, layer.release))
    if before is not after:
        warnings.warn(
            f"{path}: it is of Keras {layer.release}, the layer {layer.name!r} of {was}, which "
            f"normalized in another way; it now computes as {layer.release} did. Write "
            f"release={was!r} to keep it",
            LoadWarning,
            stacklevel=4,
        )


def say_assumptions(
    where: str, model: keras.Model, layers: Sequence[BatchNormalization], *, stored: bool
) -> None:
    """Warn of what was assumed of the release and the backend.

    Args:
        where: the file, as the messages name it.
        model, layers: the model, and those of its normalizations that are concerned.
        stored: whether their weights are those of the file.
    """
    for release, told in dict.fromkeys((layer.release, layer.release_told) for layer in layers):
        alike = [one for one in layers if (one.release, one.release_told) == (release, told)]
        messages = assumptions(
            where,
            [_stored_norm(layer, stored) for layer in alike],
            release,
            alike[0].origin,
            release_told=told,
            backend_told=model.stored_origin is not None,
        )
        for message in messages:
            warnings.warn(message, LoadWarning, stacklevel=3)


def _stored_norm(layer: BatchNormalization, stored: bool) -> StoredNorm:
    std = keras.ops.convert_to_numpy(layer.running_std) if stored and layer.built else None
    return StoredNorm(layer.name, layer.mode, layer.epsilon, std)
