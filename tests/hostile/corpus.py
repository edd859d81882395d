"""All cases, and their files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hostile import (
    mutants,
    not_files,
    of_folders,
    of_hdf5,
    of_keras,
    of_names,
    of_numpy,
    of_onnx,
    of_pt2,
    of_safetensors,
    of_torch,
)
from hostile.case import Case, Expected, Family, Place
from hostile.pool import Job, Outcome, Pool, environment as environment
from hostile.worker import CANARY

FAMILIES: tuple[Family, ...] = (
    of_torch.FAMILY,
    of_torch.LEGACY,
    of_torch.SCRIPT,
    of_onnx.FAMILY,
    of_safetensors.FAMILY,
    of_numpy.FAMILY,
    of_hdf5.FAMILY,
    of_keras.FAMILY,
    of_pt2.FAMILY,
    of_folders.HUGGING_FACE,
    of_folders.SAVED_MODEL,
    of_names.FAMILY,
    mutants.FAMILY,
    not_files.FAMILY,
    of_keras.ARCHIVE,
    of_keras.JSON,
)


WITHOUT_GOOD_ONES = ("TorchScript", "no file", "damaged")


def cases() -> list[Case]:
    """All of them."""
    return [case for family in FAMILIES for case in family.cases]


def base_folders(base: Path) -> Path:
    """Make the folder outside, in which files lie that nobody may open."""
    outside = base / "outside"
    outside.mkdir(parents=True)
    outside.joinpath(f"{CANARY}.py").write_text("raise SystemExit('the canary was imported')\n")
    outside.joinpath("secret").write_bytes(b"secret" * 1000)
    return outside


def job(case: Case, number: int, base: Path) -> Job:
    """Write the file of a case; what is to be run on it."""
    place = Place(base / "cases" / f"{number:04}", base / "outside")
    place.folder.mkdir(parents=True)
    made = case.make(place)
    arguments = ["audit", str(made)] if isinstance(made, Path) else [str(part) for part in made]
    return Job(arguments, place.folder)


def warm_jobs(base: Path) -> list[Job]:
    """A good file of each format, so that all frameworks are loaded."""
    first = [
        next(case for case in family.cases if case.expected is Expected.READ)
        for family in FAMILIES
        if any(case.expected is Expected.READ for case in family.cases)
    ]
    return [job(case, 9000 + number, base) for number, case in enumerate(first)]


def outcomes(own: Iterable[Case], base: Path, size: int = 2) -> dict[str, Outcome]:
    """What came of each case, by its name."""
    listed = list(own)
    jobs = [job(case, number, base) for number, case in enumerate(listed)]
    found = Pool(base, warm_jobs(base), size).run(jobs)
    return {case.name: outcome for case, outcome in zip(listed, found, strict=True)}
