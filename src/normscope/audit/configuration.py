"""`[tool.normscope]` in `pyproject.toml`: what a team asks of its models, written down once.

    [tool.normscope]
    models = ["model.py:Net()", { model = "export/net.onnx", independent = "b" }]
    select = ["NS1", "numerics"]
    ignore = ["redundant-bias"]
    independent = "b@inference"
    causal = "t"
    baseline = "normscope-baseline.json"
    exit-zero = false
    fail-on = "warning"

    [tool.normscope.allow]
    "encoder.bn1" = ["batch-statistics-at-inference: test-time adaptation"]

    [tool.normscope.intents]
    "teacher.*" = "train-mode-teacher"

Each key is checked, and one that is not known is an error. Paths of files are relative to the
folder of the `pyproject.toml`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from normscope.audit.allowances import Allow, Intents, allowances, tags
from normscope.audit.baseline import Baseline
from normscope.audit.finding import Severity
from normscope.audit.policy import Policy
from normscope.audit.promises import PromisedAxes, wanted_promises
from normscope.errors import ModelFileError, NormscopeError, SpecError
from normscope.notation.values import shown
from normscope.wording import listed

NAME = "pyproject.toml"
_MAX_BYTES = 2**20

_POLICY = ("select", "ignore", "independent", "causal", "allow", "intents", "baseline")
_OF_ALL = (*_POLICY, "models", "exit-zero", "fail-on")
_OF_MODEL = (
    *("model", "shape", "input", "axes", "against", "release", "backend"),
    *("select", "ignore", "independent", "causal", "allow", "intents"),
)


@dataclass(frozen=True)
class ModelToAudit:
    """A model that is named in a configuration.

    Attributes:
        model: a file, or "model.py:Net()"; its file is relative to the current folder.
        shapes, inputs, axes: as on the command line.
        against, release, backend: as on the command line; None where they are not said.
        policy: what is said of this model besides.
    """

    model: str
    shapes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    against: str | None = None
    release: str | None = None
    backend: str | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class Configuration:
    """What a `pyproject.toml` says.

    Attributes:
        path: of the file; "" without one.
        policy: of all models.
        models: those to audit where none is named.
        exit_zero: findings do not fail.
        fail_on: the least severity that fails.
        baseline: the path of the baseline; None without one. The policy does not hold it yet.
    """

    path: str = ""
    policy: Policy = field(default_factory=Policy)
    models: tuple[ModelToAudit, ...] = ()
    exit_zero: bool = False
    fail_on: Severity = Severity.INFO
    baseline: str | None = None


def policy_of(
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    independent: PromisedAxes | None = None,
    causal: PromisedAxes | None = None,
    *,
    allow: Allow | None = None,
    intents: Intents | None = None,
    baseline: str | os.PathLike[str] | None = None,
    where: str = "",
) -> Policy:
    """A policy as a user writes it.

    Args:
        select, ignore, independent, causal, allow, intents: as `audit` takes them.
        baseline: the path of a file.
        where: it is written, before the names of the keys in messages.

    Raises:
        SpecError: there is no such rule, axis or intent, or an allowance says no reason.
        ModelFileError: the baseline cannot be read.
    """
    return Policy(
        tuple(select),
        tuple(ignore),
        wanted_promises(independent, causal),
        allowances(allow, f"{where}allow"),
        tags(intents, f"{where}intents"),
        baseline=None if baseline is None else Baseline.read(baseline),
    ).checked()


def nearest_configuration(folder: str | os.PathLike[str]) -> Configuration:
    """That of the nearest folder upward whose `pyproject.toml` has a table for normscope.

    Raises:
        SpecError, ModelFileError: as `read_configuration` says.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        file = place / NAME
        if file.is_file() and _table(file) is not None:
            return read_configuration(file)
    return Configuration()


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """The configuration in a `pyproject.toml`; none if it has no table for normscope.

    Raises:
        ModelFileError: it cannot be read, or is not TOML.
        SpecError: a key is not known, or its value is wrong.
    """
    file = Path(path)
    table = _table(file)
    if table is None:
        return Configuration(str(file))
    try:
        return _configuration(file, table)
    except ModelFileError:
        raise
    except NormscopeError as error:
        raise SpecError(f"{_name(file)}: [tool.normscope]: {error}") from None


def _table(file: Path) -> dict[str, Any] | None:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ModelFileError(_name(file), f"has more than {_MAX_BYTES} bytes")
        whole = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFileError(_name(file), f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(_name(file), f"is not TOML: {error}") from None
    tool = whole.get("tool", {})
    table = tool.get("normscope") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise SpecError(f"{_name(file)}: tool.normscope is {shown(table)}, not a table")
    return table


def _name(file: Path) -> str:
    """A file as its user would call it: relative to the current folder."""
    try:
        return os.path.relpath(file)
    except ValueError:  # on another drive
        return str(file)


def _configuration(file: Path, table: dict[str, Any]) -> Configuration:
    _check_keys(table, _OF_ALL)
    entries = _typed(table, "models", list, '["model.py:Net()"]') or []
    fail_on = _typed(table, "fail-on", str, '"error"') or str(Severity.INFO)
    if fail_on not in list(Severity):
        raise SpecError(f"fail-on is {shown(fail_on)}; write {listed(list(Severity), 'or')}")
    baseline = _typed(table, "baseline", str, '"normscope-baseline.json"')
    return Configuration(
        str(file),
        _policy(table),
        tuple(_model(entry, number, file.parent) for number, entry in enumerate(entries)),
        bool(_typed(table, "exit-zero", bool, "true")),
        Severity(fail_on),
        None if baseline is None else os.path.relpath(file.parent / baseline),
    )


def _policy(table: Mapping[str, Any]) -> Policy:
    return policy_of(
        tuple(_texts(table, "select", '["NS1"]')),
        tuple(_texts(table, "ignore", '["NS401"]')),
        table.get("independent"),
        table.get("causal"),
        allow=_typed(table, "allow", dict, '{ "encoder.bn1" = ["rule-name: reason"] }'),
        intents=_typed(table, "intents", dict, '{ "teacher.*" = "train-mode-teacher" }'),
    )


def _model(entry: object, number: int, folder: Path) -> ModelToAudit:
    said = {"model": entry} if isinstance(entry, str) else entry
    try:
        if not isinstance(said, dict):
            raise SpecError(f'is {shown(entry)}; write "model.py:Net()" or {{ model = ... }}')
        _check_keys(said, _OF_MODEL)
        model = _typed(said, "model", str, '"model.py:Net()"')
        if not model:
            raise SpecError('names no model; write { model = "model.py:Net()", ... }')
        against = _typed(said, "against", str, '"reference.onnx"')
        return ModelToAudit(
            _from_here(model, folder),
            tuple(_texts(said, "shape", '"4,3,32,32"')),
            tuple(_texts(said, "input", '"ids=2,16:int64<99"')),
            tuple(_texts(said, "axes", '"b c h w"')),
            None if against is None else _from_here(against, folder),
            _typed(said, "release", str, '"1.0.5"'),
            _typed(said, "backend", str, '"theano"'),
            _policy(said),
        )
    except SpecError as error:
        raise SpecError(f"models[{number}]: {error}") from None


def _from_here(text: str, folder: Path) -> str:
    """A model that is named in a folder, as it is named from the current one."""
    file, colon, expression = text.partition(":")
    there = folder / file
    return os.path.relpath(there) + colon + expression if there.exists() else text


def _check_keys(table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key in known:
            continue
        close = get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}? The keys" if close else "the keys"
        raise SpecError(f"there is no key {shown(key)}; {hint} are {listed(known)}")


def _typed(table: Mapping[str, Any], key: str, kind: type, example: str) -> Any:
    value = table.get(key)
    if value is not None and not isinstance(value, kind):
        raise SpecError(f"{key} is {shown(value)}; write {key} = {example}")
    return value


def _texts(table: Mapping[str, Any], key: str, example: str) -> Iterator[str]:
    value = table.get(key, [])
    for text in [value] if isinstance(value, str) else value if isinstance(value, list) else [0]:
        if not isinstance(text, str):
            raise SpecError(f"{key} is {shown(value)}; write {key} = {example}")
        yield text
