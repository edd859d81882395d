"""The steps of a conversion: load the live model, write the new file, check it, publish it."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from normscope.errors import ContractWarning, SpecError
from normscope.keras1.convert.checks import Given, Notes, checked
from normscope.keras1.convert.report import Conversion
from normscope.keras1.live.conventions import LoadWarning, normalizations
from normscope.keras1.live.loading import load_model, load_parts
from normscope.keras1.live.running_std import RunningStdComparison, compare_running_std
from normscope.keras1.network.releases import OF_DEVIATIONS, OF_VARIANCES
from normscope.progress import Progress


def convert_checked(
    files: tuple[str, str], path: Path, given: Given, *, force: bool, data: Any, tell: Progress
) -> Conversion:
    """Write the model of two files as a `.keras` file, and check the result.

    Args:
        files: with the architecture and with the weights; the same one twice for a whole model.
        path: the file to write.
        given: what the user says of the files.
        force, data: as in `convert`.
        tell: is told what is being done.
    """
    model, notes = _loaded(files, given)
    if data is not None:
        found = compare_running_std(model, data)
        if found.holds is not None and not _release_told(model):
            by_data = OF_DEVIATIONS if found.holds == "deviation" else OF_VARIANCES
            model, notes = _loaded(files, replace(given, release=by_data))
        contradicted = tuple(_contradiction(model, found))
        notes = replace(notes, data=str(found), assumed=notes.assumed + contradicted)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        draft = folder / path.name
        tell("writing", 0, 1)
        model.save(draft)
        report = checked(files, path, draft, model, given, notes, tell)
        _publish(draft, path, force)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _loaded(files: tuple[str, str], given: Given) -> tuple[keras.Model, Notes]:
    """The live model, and what loading it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LoadWarning)
        warnings.simplefilter("always", ContractWarning)
        source, weights = files
        options: Any = asdict(given)
        one = weights == source
        model = load_model(source, **options) if one else load_parts(source, weights, **options)
    return model, Notes(_messages(caught, LoadWarning), _messages(caught, ContractWarning))


def _release_told(model: keras.Model) -> bool:
    return all(layer.release_told for layer in normalizations(model))


def _contradiction(model: keras.Model, found: RunningStdComparison) -> Iterator[str]:
    """Where the data say that running_std is not what the model reads it as."""
    wrong = [
        layer
        for layer in normalizations(model)
        if layer.spec.running is not None
        and found.holds is not None
        and layer.spec.running.deviation != (found.holds == "deviation")
    ]
    if wrong:
        fitting = OF_DEVIATIONS if found.holds == "deviation" else OF_VARIANCES
        yield (
            f"the data say that running_std holds a {found.holds}, but it is read as that of Keras "
            f"{wrong[0].release}; write --release {fitting} to read it as a {found.holds}"
        )


def _publish(draft: Path, path: Path, force: bool) -> None:
    """Move the finished file to its place."""
    try:
        if force:
            draft.replace(path)
        else:
            os.link(draft, path)  # fails if another program made the target in the meantime
    except FileExistsError:
        raise SpecError(f"{path} exists; write --force to overwrite it") from None
    except OSError as error:
        if force or path.exists():
            raise SpecError(f"{path} cannot be written: {error.strerror}") from None
        draft.replace(path)  # a file system without hard links


def _messages(
    caught: Sequence[warnings.WarningMessage], category: type[Warning]
) -> tuple[str, ...]:
    found = [str(one.message) for one in caught if issubclass(one.category, category)]
    return tuple(dict.fromkeys(found))
