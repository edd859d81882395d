"""What all tests share: the golden data of Keras 1, and how hypothesis searches."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

DATA = Path(__file__).parent / "data"

# In CI the same examples every time: a failure there must be one that can be repeated.
settings.register_profile(
    "default", deadline=None, max_examples=100, derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("default")


@pytest.fixture(scope="module")
def quick_compiler() -> Iterator[None]:
    """Let XLA compile without its costly optimizations, where its compiled code runs only once.

    For modules about what is read or computed, where most of the time would go into compiling; not
    for those about our own layers in JAX or how exact a peer is. Nothing compiled goes out or in.
    """
    if os.environ["KERAS_BACKEND"] != "jax":
        yield
        return
    import jax

    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def keras1_golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked golden data of Keras 1.2.2 (see data/README.md)."""
    folder = tmp_path_factory.mktemp("keras1")
    with zipfile.ZipFile(DATA / "keras1.zip") as archive:
        archive.extractall(folder)
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-snapshots", action="store_true", help="write snapshots anew")


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a file of the repository, or write it with --write-snapshots."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--write-snapshots"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
