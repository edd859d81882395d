"""`audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from normscope.audit.catalogue import selected_rules
from normscope.audit.result import Audit


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
    from normscope.audit.readers.registry import read_graph  # h5py only when a file is read

    rules = selected_rules(select, ignore)
    graph = read_graph(path, release, backend)
    findings = [
        finding for site in graph.sites for rule in rules for finding in rule.check(site, graph)
    ]
    return Audit(graph, tuple(findings))
