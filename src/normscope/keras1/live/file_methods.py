"""What `Model` and `Sequential` of Keras 1.2.2 share: saving to files and loading from them."""

from __future__ import annotations

from typing import Any

from normscope.errors import SpecError
from normscope.keras1.files import holds_weights
from normscope.keras1.live.saving import save_model, save_weights, to_json
from normscope.keras1.live.weights import load_weights

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")


class FileMethods:
    """The methods of a model that write and read files of Keras 1, and those of Keras 3."""

    def save(self, filepath: Any, overwrite: bool = True, **keras3: Any) -> None:
        """Write the model: as Keras 1.2.2 wrote it if the name ends in .h5 or .hdf5.

        Args:
            filepath: ends in `.keras` for a file of Keras 3.
            overwrite: whether an existing file is replaced.
            **keras3: arguments of Keras 3, for its file.

        Raises:
            SpecError: the file exists, and is not to be replaced.
        """
        if str(filepath).endswith(HDF5_ENDINGS):
            save_model(self, filepath, overwrite)
        else:
            super().save(filepath, overwrite=overwrite, **keras3)  # type: ignore[misc]

    def save_weights(self, filepath: Any, overwrite: bool = True, **keras3: Any) -> None:
        """Write the weights, as Keras 1.2.2 wrote them unless the name ends in .weights.h5.

        Raises:
            SpecError: the file exists, and is not to be replaced.
        """
        if str(filepath).endswith((".weights.h5", ".weights.json")):
            super().save_weights(filepath, overwrite=overwrite, **keras3)  # type: ignore[misc]
        else:
            save_weights(self, filepath, overwrite)

    def to_json(self, **options: Any) -> str:
        """The architecture as Keras 1.2.2 wrote it, for `model_from_json`."""
        return to_json(self, **options)

    def to_yaml(self, **options: Any) -> str:
        """Cannot be served: YAML can hold code."""
        raise SpecError(
            "write model.to_json(); YAML can hold code, and is neither written nor read"
        )

    def load_weights(self, filepath: Any, by_name: bool = False, **keras3: Any) -> None:
        """Set the weights to those of a file of Keras 1, or of one of Keras 3.

        Args:
            filepath: what is in the file decides which it is.
            by_name: of a file of Keras 1: set the layers that have the name of one in the file,
                and leave the others as they are.
            **keras3: arguments of Keras 3; for a file of Keras 1 also `backend`, see
                `normscope.keras1.live.weights.load_weights`.

        Raises:
            ModelFileError: the layers or shapes in a file of Keras 1 are not those of this model.
        """
        if holds_weights(filepath):
            load_weights(self, filepath, by_name=by_name, **keras3)
        else:
            super().load_weights(filepath, **keras3)  # type: ignore[misc]
