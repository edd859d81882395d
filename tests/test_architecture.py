"""What holds for the package as a whole: who imports whom, what is public, what stays lazy.

Each check is a function that returns what is wrong. Beside the test that wants nothing to be wrong
stands a twin that breaks the rule on purpose and wants to hear of it.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

import normscope

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "normscope"

# Who may import whom. A module that fits no row is an error: add a row for it. "x.*" is the package
# x with all its modules, "*" is everything; of several rows that fit, the most exact one counts.
# `errors`, `wording` and `notebook` may be imported everywhere.
IMPORTS = {
    "__init__": "*",
    "cli.*": "*",
    "__main__": "cli",
    "progress": "",
    "version": "",
    "errors": "",
    "wording": "",
    "notebook": "",
    "files.*": "files.*",
    "notation.*": "notation.*",
    "kernels.*": "kernels.*",
    "kernels.contract": "",  # what engine and kernels share
    "kernels.calls": "",  # the structures of that border
    "kernels.recipe": "",  # the build runs it where nothing is installed
    "sight.*": "notation.* sight.*",
    "graph.*": "graph.*",
    "frameworks.*": "notation.* sight.* graph.* frameworks.*",
    # what reads bytes from strangers is in `files`; it knows no framework
    "frameworks.opening": "files.* frameworks.*",
    "frameworks.torch.exported.from_file": "files.* frameworks.*",
    "frameworks.onnx.wire": "files.protobuf",
    "frameworks.onnx.file": "files.regular frameworks.*",
    "frameworks.onnx.tensors": "files.folder frameworks.*",
    "frameworks.keras.saved.*": "files.* graph.* frameworks.*",
    # it knows nothing of the fast way, so that it can disagree with it
    "reference": "notation.* frameworks.statement",
    "engine.*": "progress notation.* kernels.* frameworks.* engine.*",
    # the definition, in the place of kernels that are not built
    "engine.by_definition": "notation.* kernels.contract reference engine.*",
    # layers of the frameworks; each package imports its own framework
    "layers": "",
    "layers.common.*": "notation.* frameworks.* layers.common.*",
    "layers.keras.*": "notation.* frameworks.* layers.common.* layers.keras.* layers.torch "
    "layers.torch.operators",
    "layers.torch.*": "progress notation.* frameworks.* engine.* kernels.* layers.common.* "
    "layers.torch.*",
    # a layer may be asked what it computes, and a model what its samples see
    "layers.torch.asked": "notation.* frameworks.* graph.* identify.* layers.torch.*",
    "layers.torch.recalibration_check": "notation.* identify.* layers.torch.*",
    "layers.torch.verification": "notation.* identify.* scope.* layers.torch.*",
    "layers.jax.*": "notation.* frameworks.* engine.validation layers.common.* layers.jax.*",
    # Keras 1: the public modules that it had, on top of four folders
    "keras1.*": "keras1.*",
    "keras1.files.*": "files.* keras1.files.*",
    "keras1.network.*": "frameworks.* keras1.network.*",
    "keras1.live.*": "files.* notation.* frameworks.* layers.keras.* keras1.files.* "
    "keras1.network.* keras1.live.*",
    "keras1.convert.*": "progress keras1.files.* keras1.network.* keras1.live.* keras1.convert.*",
    # the verbs
    "explain.*": "notation.* frameworks.* engine.* explain.*",
    "explain.execution": "notation.* engine.* kernels.library",  # whether there are kernels
    "identify.*": "notation.* frameworks.* sight.* reference explain.* identify.*",
    "scope.*": "progress notation.* graph.* frameworks.* sight.* scope.*",
    "testing": "notation.* identify.* scope.*",
    "audit.*": "version progress notation.* sight.* graph.* frameworks.* explain.* scope.* audit.*",
    # what is normalized at a site is asked as of any layer
    "audit.found.*": "notation.* graph.* frameworks.* sight.* reference explain.* identify.* "
    "audit.found.*",
    # a file that others may have changed
    "audit.baseline": "files.json notation.* audit.finding audit.model_graph",
    # rules see only the graph, which asks no framework; only readers know where it came from
    "audit.rule": "audit.finding audit.model_graph",
    "audit.rules.*": "notation.* explain.* sight.verdict graph.operators reference "
    "audit.entry audit.site_explanation audit.finding audit.model_graph audit.parameters "
    "audit.probe audit.promises audit.promises_at audit.padding audit.surroundings audit.rule "
    "audit.training_signs",
    "audit.readers.*": "progress files.* notation.* frameworks.* keras1.files.* keras1.network.* "
    "sight.verdict audit.model_graph audit.promises audit.readers.*",
    # a live model is followed operator by operator, and its places are asked
    **dict.fromkeys(
        (
            "audit.readers.live",
            "audit.readers.entries",
            "audit.readers.found_sites",
            "audit.readers.observed",
            "audit.readers.steps",
            "audit.readers.promises",
            "audit.readers.positions",
            "audit.readers.probes",
            "audit.readers.padding",
            "audit.readers.surroundings",
            "audit.readers.unused",
            "audit.readers.verdicts",
            "audit.readers.reference",
        ),
        "progress files.* notation.* sight.* graph.* frameworks.* scope.* audit.*",
    ),
}

# The public names, and nothing else.
PUBLIC = {
    "Audit",
    "Explanation",
    "Fit",
    "Gradients",
    "Identification",
    "Measure",
    "NormSpec",
    "Running",
    "Scope",
    "Threads",
    "audit",
    "explain",
    "fit",
    "gradients",
    "identify",
    "normalize",
    "preset",
    "preset_names",
    "reference",
    "retain_memory",
    "scope",
    "set_buffer_limit",
    "set_num_threads",
    "spec",
    "spec_of",
    "threads",
    "to_flax",
    "to_keras",
    "to_torch",
    # errors
    "DtypeError",
    "KernelsError",
    "MissingPackageError",
    "ModelFileError",
    "NormscopeError",
    "PatternError",
    "ShapeError",
    "SpecError",
}

# `import normscope` and `normscope --help` must be quick, and need no framework.
LAZY = {
    "flax",
    "h5py",
    "jax",
    "jinja2",
    "keras",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "tensorflow",
    "torch",
}


# --- imports --------------------------------------------------------------------------------------


@cache
def module_names(package: Path) -> dict[str, Path]:
    """The file of each module of a package: {"audit": audit/__init__.py, "audit.rule": ...}."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        *folders, stem = path.relative_to(package).with_suffix("").parts
        names[".".join(folders if folders and stem == "__init__" else [*folders, stem])] = path
    return names


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but for what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from nodes_that_run(node)


def imported_modules(
    path: Path, package: Path, nodes: Callable[[ast.AST], Iterator[ast.AST]] = ast.walk
) -> Iterator[tuple[int, str]]:
    """Line and name of every module of `package` that the file imports, in any of the nodes."""
    known = module_names(package)
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                targets = [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = [node.module] if node.module else []
                if node.level:
                    folder = path.parents[node.level - 1]
                    base = [package.name, *folder.relative_to(package).parts, *base]
                # `from normscope.audit import rule` means the module, where there is one.
                targets = [".".join([*base, alias.name]) for alias in node.names]
            case _:
                continue
        for target in targets:
            first, *rest = target.split(".")
            if first != package.name:
                continue
            while rest and ".".join(rest) not in known:
                rest.pop()
            yield node.lineno, ".".join(rest) or "__init__"


def fits(module: str, row: str) -> bool:
    return row in ("*", module) or (row.endswith(".*") and f"{module}.".startswith(row[:-1]))


def row_of(module: str, table: Mapping[str, str]) -> str | None:
    rows = [row for row in table if fits(module, row)]
    return max(rows, key=lambda row: (row == module, len(row)), default=None)


def forbidden_imports(package: Path, table: Mapping[str, str]) -> list[str]:
    wrong: dict[str, None] = {}  # each report once, in order
    for module, path in module_names(package).items():
        row = row_of(module, table)
        if row is None:
            wrong[f"{module} is not in the table"] = None
            continue
        allowed = ["errors", "wording", "notebook", *table[row].split()]
        for line, target in imported_modules(path, package):
            if not any(fits(target, entry) for entry in allowed):
                wrong[f"{module}, line {line}: imports {target}"] = None
    return list(wrong)


def test_imports_follow_the_table() -> None:
    assert forbidden_imports(PACKAGE, IMPORTS) == []


def test_each_row_of_the_table_is_about_a_module() -> None:
    used = {row_of(module, IMPORTS) for module in module_names(PACKAGE)}
    assert sorted(set(IMPORTS) - used) == []


@pytest.mark.parametrize(
    "line",
    [
        "import toy.top",
        "import toy.top as t",
        "import toy",
        "from toy import top",
        "from toy.top import value",
        "from ..top import value",
        "from .. import top, errors",
        "def later():\n    from toy.top import value",
        "class Later:\n    def later(self):\n        from .. import top",
    ],
)
def test_a_forbidden_import_is_reported(tmp_path: Path, line: str) -> None:
    files = {
        "__init__": "from toy.top import value",
        "errors": "",
        "top": "from toy.low.part import x\nfrom .errors import E\nimport json, toyota",
        "low.__init__": "from . import part\nfrom .part import x",
        "low.part": f"from ..errors import E\n{line}\n",
    }
    for name, text in files.items():
        path = tmp_path / "toy" / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    table = {"__init__": "*", "errors": "", "top": "low.*", "low.*": "low.*"}

    reports = forbidden_imports(tmp_path / "toy", table)

    assert len(reports) == 1
    assert re.fullmatch(r"low\.part, line \d: imports (top|__init__)", reports[0])
    assert forbidden_imports(tmp_path / "toy", table | {"low.part": "*"}) == []
    del table["top"]
    assert "top is not in the table" in forbidden_imports(tmp_path / "toy", table)


# --- the shape of the package --------------------------------------------------------------------

MODULES_AT_THE_TOP = 12
FOLDERS = {
    "notation",
    "engine",
    "kernels",
    "sight",
    "frameworks",
    "files",
    "explain",
    "identify",
    "scope",
    "audit",
    "layers",
    "keras1",
}


def import_graph(package: Path) -> dict[str, set[str]]:
    """Who imports whom, in functions too; what only a type checker reads does not count."""
    return {
        module: {target for _, target in imported_modules(path, package, nodes_that_run)} - {module}
        for module, path in module_names(package).items()
    }


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of nodes each of which reaches the others (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    found = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        waiting.append(node)
        for target in graph.get(node, ()):
            if target not in number:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in waiting:
                lowest[node] = min(lowest[node], number[target])
        if lowest[node] == number[node]:
            group = waiting[waiting.index(node) :]
            del waiting[waiting.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def folder_graph(graph: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Which folder, or module at the top, imports from which."""
    arrows: dict[str, set[str]] = {}
    for module, targets in graph.items():
        room = module.split(".")[0]
        arrows.setdefault(room, set()).update(target.split(".")[0] for target in targets)
    return {room: targets - {room} for room, targets in arrows.items()}


def test_no_circle_of_imports() -> None:
    assert circles(import_graph(PACKAGE)) == []


def test_no_circle_of_folders() -> None:
    graph = folder_graph(import_graph(PACKAGE))
    del graph["__init__"]  # everything is public there, and nothing imports it
    assert circles(graph) == []


def test_a_circle_is_reported(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "low.__init__": "",
        "low.a": "def later():\n    from toy.high.b import x",
        "low.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.high import d",
        "high.__init__": "",
        "high.b": "from ..low import a",
        "high.d": "import toy.low.c",
    }
    for name, text in files.items():
        path = tmp_path / "toy" / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = import_graph(tmp_path / "toy")

    assert circles(graph) == [["high.b", "low.a"]]
    assert circles(folder_graph(graph)) == [["high", "low"]]
    assert circles({"a": ["b"], "b": ["c"], "c": ["d"], "d": []}) == []


def test_a_stranger_finds_the_folders() -> None:
    """The folders of the design, each of which says in its first line what it is for."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders >= FOLDERS
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_AT_THE_TOP
    for folder in FOLDERS:
        text = (PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


# --- what an import brings with it ----------------------------------------------------------------


def loaded_by(statement: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are loaded once a new interpreter has run the statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return sorted(set(names) & set(run.stdout.split()))


def test_import_loads_no_framework() -> None:
    assert loaded_by("import normscope", LAZY | {"typer", "rich"}) == []


def test_command_line_loads_no_framework() -> None:
    assert loaded_by("import normscope.cli", LAZY) == []


def test_what_reads_a_file_of_keras_1_follows_no_model() -> None:
    read = 'import normscope; str(normscope.audit("examples/seed_network_full_th.json"))'
    followed = {"normscope.graph.sites", "normscope.scope", "normscope.identify"}
    assert loaded_by(read, LAZY - {"h5py"} | followed) == []


@pytest.mark.parametrize("before", ["import normscope", "import normscope.{0}.{0}", ""])
@pytest.mark.parametrize("verb", ["explain", "identify", "scope", "audit"])
def test_a_verb_is_its_function_though_a_module_has_its_name(verb: str, before: str) -> None:
    lines = (before, "from normscope.{0} import {0}", "import normscope.{0}.{0}")
    asked = "import normscope; assert normscope.{0} is {0}; from normscope.{0} import {0} as again"
    code = ";".join([*filter(None, lines), asked, "assert again is {0} and callable({0})"])
    subprocess.run([sys.executable, "-c", code.format(verb)], check=True, timeout=60)


def test_a_loaded_framework_is_noticed() -> None:
    assert loaded_by("import normscope; import h5py", LAZY) == ["h5py"]


# --- public names ---------------------------------------------------------------------------------


def undocumented(namespace: object, names: Iterable[str]) -> list[str]:
    """Public names without a docstring, and public functions without an example in it."""
    wrong = []
    for name in sorted(names):
        value = getattr(namespace, name)
        text = inspect.getdoc(value) or ""
        # An instance shows the docstring of its class, a subclass that of its base: not its own.
        inherited = not (inspect.isclass(value) or inspect.isroutine(value)) or (
            inspect.isclass(value) and "__doc__" in vars(value) and value.__doc__ is None
        )
        if not text or inherited:
            wrong.append(f"{name} has no docstring")
        elif inspect.isfunction(value) and not re.search(r"^\s*(>>> |Examples?:)", text, re.M):
            wrong.append(f"{name} has no example")
    return wrong


def test_public_names_are_those_listed() -> None:
    assert set(normscope.__all__) == PUBLIC
    assert len(normscope.__all__) == len(PUBLIC)


def test_public_names_are_documented() -> None:
    assert undocumented(normscope, normscope.__all__) == []


def test_a_missing_docstring_is_noticed() -> None:
    def bare() -> None: ...

    def told() -> None:
        """Has a sentence."""

    def shown() -> None:
        """Has an example.

        >>> 1 + 1
        2
        """

    class Base:
        """Has a sentence."""

    class Derived(Base): ...

    namespace = SimpleNamespace(bare=bare, told=told, shown=shown, Base=Base, Derived=Derived, n=1)

    assert undocumented(namespace, vars(namespace)) == [
        "Derived has no docstring",
        "bare has no docstring",
        "n has no docstring",
        "told has no example",
    ]


# --- the repository -------------------------------------------------------------------------------

MACHINE_PATH = re.compile(rb"(^|[^A-Za-z0-9_.])/(work|farm|root)/", re.M)


def repository_files(root: Path) -> list[Path]:
    """The files that git tracks or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    files = [root / name for name in run.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]  # not those deleted a moment ago


def with_machine_paths(files: Iterable[Path]) -> list[str]:
    return [
        f"{path}: {match[0].decode(errors='replace')!r}"
        for path in files
        if (match := MACHINE_PATH.search(path.read_bytes()))
    ]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an unpacked sdist is no git checkout")
def test_no_file_names_a_path_of_one_machine() -> None:
    files = repository_files(ROOT)
    assert Path(__file__) in files
    assert with_machine_paths(files) == []


@pytest.mark.parametrize("before", ["", "see ", '"', "x = 1\n", "file:/"])
@pytest.mark.parametrize("folder", ["work", "farm", "root"])
def test_a_machine_path_is_noticed(tmp_path: Path, before: str, folder: str) -> None:
    bad, good = tmp_path / "bad.md", tmp_path / "good.md"
    bad.write_text(f"{before}/{folder}/main/x.py")
    good.write_text(f"src/{folder}/x.py and ../{folder}/x.py, {folder}/x.py, /{folder}s/x.py")
    assert [report.split(":")[0] for report in with_machine_paths([bad, good])] == [str(bad)]
