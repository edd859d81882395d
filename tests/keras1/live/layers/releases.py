"""The recorded cases of Keras releases before 1.2.2 (see data/README.md), for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parents[3] / "data" / "keras1_releases"
RELEASES = ("1.0.5", "1.0.8")
KEYS = ("gamma", "beta", "running_mean_0", "running_std_0")


class Case(NamedTuple):
    """One case: what it was made with, and its arrays by name."""

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration of the layer."""
        return {key: self.about[key] for key in ("mode", "axis", "epsilon", "momentum")}


def cases_of(release: str) -> Iterator[Case]:
    """The cases of a release."""
    with np.load(FOLDER / f"{release}.npz") as stored:
        for about in json.loads(str(stored["index"])):
            start = f"{about['name']}__"
            keys = [key for key in stored.files if key.startswith(start)]
            yield Case(about, {key.removeprefix(start): stored[key] for key in keys})
