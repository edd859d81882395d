"""`audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from normscope.audit.catalogue import selected_rules
from normscope.audit.readers import read_graph
from normscope.audit.result import Audit
from normscope.errors import SpecError


def audit(
    path: str | os.PathLike[str],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    release: str | None = None,
    backend: str | None = None,
) -> Audit:
    """Find every normalization of a model file, and what is wrong with it.

    Only data is read: no code in the file, and none that it names, is run.

    Args:
        path: a Keras 1 model: `.h5` from `model.save()`, `.json` from `model.to_json()`.
        select: codes, names or families ("NS1") of the rules to apply; all, if none is given.
        ignore: those not to apply.
        release, backend: the release of Keras 1 ("1.0.0" to "1.2.2") and the backend
            ("tensorflow", "theano" or "theano<0.9") that wrote the file, where it does not tell
            them; what is assumed without them is in `Audit.graph.assumed` and in the report.

    Returns:
        The `Audit`.

    Raises:
        ModelFileError: the file could not be read, or what it holds contradicts itself.
        SpecError: there is no rule of a code or name, no such release or backend, or it is a model
            instead of a file.

    Example:
        >>> report = audit("examples/seed_network_full_th.json")
        >>> report.layers[0].train.pattern
        'b c h [w]'
        >>> report.findings[0].name
        'rank-outside-contract'
    """
    _check_path(path)
    rules = selected_rules(select, ignore)
    graph = read_graph(Path(path), release, backend)
    findings = [
        finding for site in graph.sites for rule in rules for finding in rule.check(site, graph)
    ]
    return Audit(graph, tuple(findings))


def _check_path(path: object) -> None:
    """Refuse what is not a path, and say which call takes it.

    Raises:
        SpecError: it is not a path.
    """
    if isinstance(path, str | os.PathLike) and path != "":
        return
    if isinstance(path, str):
        came = "an empty text"
    elif path is None:
        came = "None"
    elif isinstance(path, type):
        came = f"the class {path.__qualname__}"
    else:
        came = f"an object of {type(path).__module__}.{type(path).__qualname__}"
    instance = f"make an instance, {path.__qualname__}(...); " if isinstance(path, type) else ""
    if hasattr(path, "dtype") and hasattr(path, "shape"):
        use = "for an array write ns.normalize(x, pattern)"
    elif isinstance(path, bytes):
        use = "write the path as a str"
    elif hasattr(path, "read") and isinstance(name := getattr(path, "name", None), str):
        use = f"write its path, {name!r}"
    else:
        use = (
            f"{instance}for a live model write ns.scope(model, inputs), which finds out whether "
            "samples see each other, for one layer ns.identify(layer, shape), which finds out what "
            "it normalizes"
        )
    raise SpecError(
        f"audit takes the path of a model file of Keras 1 (.h5, .json) today, not {came}; {use}"
    )
