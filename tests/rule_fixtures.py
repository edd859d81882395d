"""Fixtures of the rules of the audit: sick models, their nearest healthy twins, and the number.

Each rule has one file `tests/audit/rules/nsNNN_name.py`. In it a function makes a model, and a
decorator says what it is: `@sick("torch", at="bn")`, `@healthy("onnx")`. What it returns is the
model, or (model, inputs), or (model, inputs, options of `audit`); it may take `tmp_path`, to write
a file. Frameworks are imported inside of these functions. `NOT_IN` gives the reason for each
framework in which the rule has no fixture. `measured(finding, given)` reproduces the number in the
message by other means than the rule, and asserts; it is called for each finding in a sick model.
"""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import normscope as ns
from normscope.audit import Audit

FOLDER = Path(__file__).parent / "audit" / "rules"
FRAMEWORKS = ("torch", "keras", "onnx", "jax")

Make = TypeVar("Make", bound=Callable[..., Any])


@dataclass(frozen=True)
class Given:
    """What `audit` is given."""

    model: Any
    inputs: Any = None
    options: dict[str, Any] = field(default_factory=dict)

    def audit(self, code: str) -> Audit:
        """The audit by one rule; a framework may warn of what it is asked to do."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ns.audit(self.model, self.inputs, select=[code], **self.options)


@dataclass(frozen=True)
class Fixture:
    """One model.

    Attributes:
        code: of the rule.
        framework: one of `FRAMEWORKS`, or another word such as "keras1" or "weights".
        sick: whether the rule must fire; else it must be silent.
        at: the paths at which it must fire, and no others.
        make: makes the model.
    """

    code: str
    framework: str
    sick: bool
    at: tuple[str, ...]
    make: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.code}-{self.framework}-{self.make.__name__}"

    def given(self, tmp_path: Path) -> Given:
        """The model and the inputs."""
        takes = inspect.signature(self.make).parameters
        made = self.make(tmp_path) if takes else self.make()
        return Given(*made) if isinstance(made, tuple) else Given(made)


def sick(framework: str, at: str | tuple[str, ...]) -> Callable[[Make], Make]:
    """Mark a function that makes a model in which the rule must fire, at these paths alone."""
    places = (at,) if isinstance(at, str) else at
    return lambda make: _marked(make, framework, True, places)


def healthy(framework: str) -> Callable[[Make], Make]:
    """Mark a function that makes a model in which the rule must be silent."""
    return lambda make: _marked(make, framework, False, ())


def _marked(make: Make, framework: str, is_sick: bool, at: tuple[str, ...]) -> Make:
    marks = getattr(make, "fixtures", [])
    make.fixtures = [*marks, (framework, is_sick, at)]  # type: ignore[attr-defined]
    return make


@cache
def modules() -> dict[str, ModuleType]:
    """The file of each rule, by its code."""
    found = {}
    for path in sorted(FOLDER.glob("ns*.py")):
        spec = importlib.util.spec_from_file_location(f"rule_fixtures_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found[path.stem.partition("_")[0].upper()] = module
    return found


def fixtures(is_sick: bool) -> list[Fixture]:
    """The sick, or the healthy models of all rules."""
    return [
        Fixture(code, framework, marked_sick, at, make)
        for code, module in modules().items()
        for make in vars(module).values()
        for framework, marked_sick, at in getattr(make, "fixtures", [])
        if marked_sick is is_sick
    ]
