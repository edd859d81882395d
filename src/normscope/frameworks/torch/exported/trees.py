"""Arguments and outputs of a program in a file: tuples, lists and dicts, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 50


@dataclass(frozen=True)
class Tree:
    """The form of nested containers.

    Attributes:
        kind: "leaf", "tuple", "list" or "dict".
        children: of a container.
        keys: of a dict.
    """

    kind: str
    children: tuple[Tree, ...] = ()
    keys: tuple[Any, ...] = ()

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return 1 if self.kind == "leaf" else sum(child.count for child in self.children)

    def leaves(self, value: Any) -> list[Any]:
        """The leaves of a value of this form.

        Raises:
            ValueError: it is of another.
        """
        if self.kind == "leaf":
            return [value]
        if self.kind == "dict":
            if not isinstance(value, dict) or set(value) != set(self.keys):
                raise ValueError(f"the program takes a dict with {list(self.keys)}")
            parts = [value[key] for key in self.keys]
        else:
            parts = list(value) if isinstance(value, list | tuple) else []
            if len(parts) != len(self.children):
                raise ValueError(f"the program takes a {self.kind} of {len(self.children)}")
        pairs = zip(self.children, parts, strict=True)
        return [leaf for child, part in pairs for leaf in child.leaves(part)]

    def built(self, leaves: list[Any]) -> Any:
        """A value of this form."""
        return self._built(iter(leaves))

    def _built(self, leaves: Iterator[Any]) -> Any:
        if self.kind == "leaf":
            return next(leaves)
        parts = [child._built(leaves) for child in self.children]
        if self.kind == "dict":
            return dict(zip(self.keys, parts, strict=True))
        return parts if self.kind == "list" else tuple(parts)


_KINDS = {
    "builtins.tuple": "tuple",
    "builtins.list": "list",
    "builtins.dict": "dict",
    "collections.OrderedDict": "dict",
    "collections.defaultdict": "dict",
}


def tree_of(stated: Any) -> Tree:
    """The form that `treespec_dumps` of torch states; classes of the file become tuples.

    Raises:
        ValueError: it states none.

    >>> leaf = {"type": None, "context": None, "children_spec": []}
    >>> listed = {"type": "builtins.list", "context": "null", "children_spec": [leaf]}
    >>> tree_of([1, listed]).built([5])
    [5]
    """
    if not isinstance(stated, list) or len(stated) != 2 or stated[0] != 1:
        raise ValueError("its arguments are in a form that is not known")
    return _tree(stated[1], 0)


def _tree(node: Any, depth: int) -> Tree:
    if depth > MAX_DEPTH:
        raise ValueError("its arguments are nested too deep")
    if node["type"] is None:
        return Tree("leaf")
    children = tuple(_tree(child, depth + 1) for child in node["children_spec"])
    kind = _KINDS.get(node["type"], "tuple")
    if kind != "dict":
        return Tree(kind, children)
    keys = json.loads(node["context"])
    if isinstance(keys, dict):  # of a defaultdict
        keys = keys.get("dict_context", [])
    if not isinstance(keys, list) or len(keys) != len(children):
        raise ValueError("a dict of its arguments has no keys")
    return Tree(kind, children, tuple(key if isinstance(key, int) else str(key) for key in keys))
