"""Files of a model folder: none that a link leads out of it, except as Hugging Face's cache does.

Whoever is given a folder reads what lies in it. A link in a folder from a stranger may lead to any
file of the machine, so that its reader would look at, and tell of, what it was not given.
"""

from __future__ import annotations

import os
from pathlib import Path

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"


def inside(folder: str | os.PathLike[str], name: str) -> Path | None:
    """The file of a name in a folder, links resolved; None where it lies elsewhere.

    In the cache of Hugging Face, `snapshots/<revision>/config.json` is a link to a file in `blobs`,
    beside `snapshots`: that is the only way out.

    Args:
        folder: as it was given.
        name: relative to it.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> inside(folder, "config.json").name
    'config.json'
    >>> inside(folder, "../config.json") is inside(folder, "/etc/hosts") is None
    True
    """
    try:
        base = Path(folder).resolve()
        found = (base / name).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, or no path at all
        return None
    if found.is_relative_to(base):
        return found
    if os.path.isabs(name) or ".." in Path(name).parts:
        return None
    for above in (base, *base.parents):
        if above.name == _SNAPSHOTS:
            return found if found.parent == above.parent / _BLOBS else None
    return None
