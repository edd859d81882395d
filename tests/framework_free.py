"""The quick lane of the tests, `pytest --framework-free`: what needs no deep-learning framework.

In it no framework can be imported. A test module, or a module with doctests, whose own import needs
one is left out. So is a doctest in whose code one is named, and a test that loads one only when it
runs and says so: `@pytest.mark.framework`, also where a process loads it that the test starts.
Everything else belongs to the lane without being listed anywhere, and fails if it loads one; but
for what is marked `slow`, since the lane is run while one works.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

FRAMEWORKS = frozenset(
    {
        "equinox",
        "flax",
        "haiku",
        "jax",
        "keras",
        "onnx",
        "onnxruntime",
        "playwright",  # drives a browser, which is needed as little
        "sklearn",
        "tensorflow",
        "torch",
        "torch_geometric",
    }
)
NAMED = re.compile(rf"(?<![a-z])({'|'.join(sorted(FRAMEWORKS))})(?![a-z])")
"""As in `torch.nn`, `to_torch` and `keras1`."""


class FrameworkLoadedError(Exception):
    """A framework was to be imported where none may be. No ImportError: many catch those."""


class Barrier:
    """A finder of modules that refuses frameworks, and remembers which were asked for."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in FRAMEWORKS:
            self.refused.append(name)
            raise FrameworkLoadedError(f"{name} is loaded in the lane without frameworks")
        return None


def forget_half_imported(path: Path) -> None:
    """Take out the module of a file, which pytest leaves behind when its import fails."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == str(path):
            del sys.modules[name]


def loads_one(item: pytest.Item) -> bool:
    """Whether a test says of itself that it loads a framework; doctests do so by naming one."""
    doctest = getattr(item, "dtest", None)
    code = "".join(example.source for example in doctest.examples) if doctest else ""
    return item.get_closest_marker("framework") is not None or bool(NAMED.search(code))


class Lane:
    """The hooks of the lane: what belongs to it, and what breaks it."""

    def __init__(self) -> None:
        self._barrier = Barrier()
        sys.meta_path.insert(0, self._barrier)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        error = report.call.excinfo
        if error is not None and error.errisinstance(FrameworkLoadedError):
            forget_half_imported(collector.path)
            report = pytest.CollectReport(collector.nodeid, "passed", None, [])
        self._barrier.refused.clear()
        return report

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        out = {item for item in items if loads_one(item) or item.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=list(out))
        items[:] = [item for item in items if item not in out]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        try:
            return (yield)
        finally:
            if self._barrier.refused:
                names = ", ".join(dict.fromkeys(self._barrier.refused))
                self._barrier.refused.clear()
                message = f"{names} was to be loaded: mark the test with `framework`"
                pytest.fail(message, pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--framework-free", action="store_true", help=__doc__.splitlines()[0])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "framework: loads a framework when it runs")
    config.addinivalue_line("markers", "slow: compiles all kernels, or takes large arrays")
    if config.getoption("--framework-free"):
        config.pluginmanager.register(Lane())
