"""`convert`: what can be refused without Keras is refused before Keras is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from normscope.errors import SpecError
from normscope.keras1.convert.inputs import check_size
from normscope.keras1.convert.installed import ensure_keras
from normscope.keras1.convert.report import Conversion
from normscope.keras1.files import StrPath, read_model_file, stated_release
from normscope.progress import Progress


def convert(
    source: StrPath,
    target: StrPath,
    *,
    weights: StrPath | None = None,
    force: bool = False,
    backend: str | None = None,
    dim_ordering: str | None = None,
    release: str | None = None,
    data: Any = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write the model of a Keras 1 file as a `.keras` file, and check the result.

    The new file appears as a whole or not at all.

    Args:
        source: an HDF5 file of `model.save()`; with `weights` the JSON of `model.to_json()` too.
        target: the file to write, which ends in `.keras`.
        weights: an HDF5 file of `model.save_weights()`, where the source has none.
        force: whether an existing target is overwritten.
        backend, dim_ordering, release: as in `load_model`.
        data: inputs like those of the training, an array or a list of arrays: with them
            `compare_running_std` tells whether `running_std` holds variances or deviations. That
            decides where nothing else tells the release; where it contradicts the release, the
            report says so.
        progress: is told what is being done.

    Raises:
        ModelFileError: the source cannot be read.
        SpecError: the target cannot be written, there is no such release, backend or dim_ordering,
            or the data do not fit the model.

    Example:
        >>> print(convert("old.h5", "new.keras"))  # doctest: +SKIP
    """
    tell = progress or (lambda what, done, steps: None)
    path = _target(Path(target), force)
    tell("reading", 0, 1)
    check_size(read_model_file(source), dim_ordering)
    files = os.fspath(source), os.fspath(source if weights is None else weights)
    if files[0] != files[1]:
        stated_release(files[1])  # that it can be opened
    ensure_keras()
    from normscope.keras1.convert.checks import Given  # which imports Keras, and takes seconds
    from normscope.keras1.convert.steps import convert_checked

    return convert_checked(
        files,
        path,
        Given(backend, dim_ordering, release),
        force=force,
        data=data,
        tell=tell,
    )


def _target(path: Path, force: bool) -> Path:
    if path.suffix != ".keras":
        raise SpecError(f"the new file must end in .keras, not as {path.name!r}")
    if not path.parent.is_dir():
        raise SpecError(f"{path} cannot be written: there is no folder {os.fspath(path.parent)!r}")
    if path.exists() and not force:
        raise SpecError(f"{path} exists; write --force to overwrite it")
    return path
