"""File -> `ModelGraph`. Each reader knows one kind of file; only data is read, no code is run."""

from __future__ import annotations

from pathlib import Path

from normscope.audit.model_graph import ModelGraph


def read_graph(path: Path, release: str | None = None, backend: str | None = None) -> ModelGraph:
    """Read a model file.

    Args:
        path: of the file.
        release, backend: what wrote it, where it does not tell.

    Raises:
        ModelFileError: it cannot be read, or contradicts itself.
        SpecError: there is no such release or backend.
    """
    from normscope.audit.readers.keras1 import read_keras1  # h5py only when a file is read

    return read_keras1(path, release, backend)
