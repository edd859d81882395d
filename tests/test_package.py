"""The package as it is imported: little is loaded, and each public name is what it says."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import normscope

VERBS = ["audit", "explain", "identify", "reference", "scope"]
"""Functions that bear the name of the folder or file they live in."""


def run(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def loaded(statement: str) -> set[str]:
    """The modules that a statement loads, but for those of Python itself."""
    code = f"import sys; before = {{*sys.modules}}; {statement}; print(*{{*sys.modules}} - before)"
    modules = run(code).split()
    return {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}


def test_the_import_loads_what_it_needs_and_nothing_else() -> None:
    assert loaded("import normscope") == {
        "normscope",
        "normscope.errors",
        "normscope.version",
    }


def test_what_is_asked_for_is_loaded() -> None:
    """The twin: here more is loaded, and noticed."""
    modules = loaded("import normscope; normscope.spec('b [c]')")
    assert "normscope.notation.spec" in modules
    assert not any(name.startswith(("normscope.engine", "normscope.audit")) for name in modules)


@pytest.mark.parametrize(
    "imports",
    [
        "import normscope.{verb}",
        "from normscope import {verb}; import normscope.{verb}",
        "import normscope.cli, normscope.{verb}; from normscope import {verb}",
        "from normscope.{verb} import {verb}",
        "from normscope import *; import importlib; importlib.import_module('normscope.{verb}')",
    ],
)
def test_a_verb_is_its_function_in_every_order_of_imports(imports: str) -> None:
    lines = [imports.format(verb=verb) for verb in VERBS]
    lines.append("import normscope")
    for verb in VERBS:
        lines += [f"from normscope import {verb}", f"print({verb} is normscope.{verb})"]
        lines.append(f"print({verb}.__name__, type({verb}).__name__)")
    assert run("\n".join(lines)) == "".join(f"True\n{verb} function\n" for verb in VERBS)


def test_what_is_imported_later_is_what_type_checkers_read() -> None:
    """The names stand twice, once for each reader."""
    with open(normscope.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    read = {alias.name: str(node.module) for node in imports for alias in node.names}
    homes = {name: f"normscope.{home}" for name, home in normscope._HOMES.items()}
    assert read == homes


def test_all_names_are_listed_and_can_be_set() -> None:
    assert set(normscope.__all__) <= set(dir(normscope))
    assert set(normscope._HOMES) < set(normscope.__all__)
    names = "from normscope import *; print(*sorted(set(globals()) & set(normscope.__all__)))"
    assert run(f"import normscope; {names}").split() == sorted(normscope.__all__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normscope, "identify", len)
        assert normscope.identify is len  # type: ignore[comparison-overlap]
    assert normscope.identify is not len  # type: ignore[comparison-overlap]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="'normscope' has no attribute 'normalise'"):
        normscope.normalise  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'normalise'"):
        from normscope import normalise  # type: ignore[attr-defined]  # noqa: F401
