"""Layers and source lines, from the names and the metadata that exporters leave."""

from __future__ import annotations

import re
from typing import Any

from normscope.graph.operators import Call, Graph

_SCOPES = "pkg.torch.onnx.name_scopes"
_CLASSES = "pkg.torch.onnx.class_hierarchy"
BACK = "\\"
_TRACE = "pkg.torch.onnx.stack_trace"

_FRAME = re.compile(r'File "([^"\n]{1,4096})", line (\d{1,9})')
_QUOTED = re.compile(r"'([^'\n]{0,1024})'|\"([^\"\n]{0,1024})\"")


class Calls:
    """The calls of a graph, one for each layer that the names tell of."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._found: dict[tuple[str, ...], Call] = {(): graph.calls[0]}
        self._keys: dict[Call, tuple[str, ...]] = {graph.calls[0]: ()}

    def of(self, node: Any, around: Call) -> Call:
        """The innermost layer that a node belongs to.

        Args:
            node: of the file.
            around: the call of the function that the node stands in, or of the model itself.
        """
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        scopes = _listed(metadata.get(_SCOPES, ""))[:-1]
        if scopes:
            classes = [name.rpartition(".")[2] for name in _listed(metadata.get(_CLASSES, ""))]
            return self._nested(scopes, classes[: len(scopes)] or [""] * len(scopes))
        paths = paths_of(node.name)
        if not paths or around is not self._graph.calls[0]:
            return around
        return self._nested(paths, [""] * len(paths))

    def function(self, path: str, kind: str, parent: Call) -> Call:
        """A call of a function of the file."""
        whole = ".".join(part for part in (parent.path, path) if part)
        return self._call((*self._keys[parent], whole), kind, parent)

    def _nested(self, paths: list[str], classes: list[str]) -> Call:
        call = self._graph.calls[0]
        key: tuple[str, ...] = ()
        for path, kind in zip(paths, classes, strict=False):
            if not path:
                call.type = call.type or kind
                continue
            key = (*key, path)
            call = self._call(key, kind, call)
        return call

    def _call(self, key: tuple[str, ...], kind: str, parent: Call) -> Call:
        if key not in self._found:
            self._found[key] = call = Call(key[-1], kind, parent)
            self._keys[call] = key
            self._graph.calls.append(call)
        return self._found[key]

    def finish(self) -> None:
        """Say what went in and out of each call, now that all nodes are there."""
        within: dict[Call, set[Call]] = {}
        for call in self._graph.calls:
            within[call] = {call} | within.get(call.parent or call, set())
        inputs: dict[Call, dict[Any, None]] = {call: {} for call in self._graph.calls}
        outputs: dict[Call, dict[Any, None]] = {call: {} for call in self._graph.calls}
        for node in self._graph.nodes:
            own = within.get(node.call, set())
            for value in node.operands:
                made_in = within.get(value.node.call, set()) if value.node is not None else set()
                if value.live:
                    for call in own - made_in:
                        inputs[call][value] = None
                    for call in made_in - own:
                        outputs[call][value] = None
        for value in self._graph.outputs:
            for call in within.get(value.node.call, set()) if value.node is not None else ():
                outputs[call][value] = None
        for call in self._graph.calls:
            call.inputs, call.outputs = tuple(inputs[call]), tuple(outputs[call])
        whole = self._graph.calls[0]
        whole.inputs, whole.outputs = tuple(self._graph.inputs), tuple(self._graph.outputs)


def paths_of(name: str) -> list[str]:
    """The layers that a node's name tells of, outermost first.

    Exporters write the path of a layer before the name of the operator. Inside a list of layers
    torch repeats the name of the list; its own paths have dots.

    >>> paths_of("/layers/layers.0/norm/Mul_1")
    ['layers', 'layers.0', 'layers.0.norm']
    >>> paths_of("model/norm/batchnorm/mul")
    ['model', 'model/norm', 'model/norm/batchnorm']
    >>> paths_of("Conv_12")
    []
    """
    parts = name.split("/")[:-1]
    dotted = bool(parts) and not parts[0]
    found: list[str] = []
    last = ""
    for part in filter(None, parts[:64]):
        before = found[-1] if found else ""
        if dotted and last and part.startswith(f"{last}."):
            path = before[: len(before) - len(last)] + part
        else:
            path = ("." if dotted else "/").join(p for p in (before, part) if p)
        found.append(path)
        last = part
    return found


def own_name(node: Any) -> str:
    """What a node is called, or else what it makes; "" where the name tells of the whole model."""
    name = node.name or next(iter(node.output), "")
    return "" if name.startswith("/") else name


def source_of(node: Any) -> str:
    """The user's line that a node comes from, "file.py:12"; "" if the file does not tell.

    The innermost line of the trace that is not in a layer of a framework.
    """
    trace = next((entry.value for entry in node.metadata_props if entry.key == _TRACE), "")
    frames = _FRAME.findall(trace[:65536])
    own = [frame for frame in frames if "site-packages" not in frame[0]] or frames
    if not own:
        return ""
    file, line = own[-1]
    return f"{file.replace(BACK, '/').rpartition('/')[2]}:{line}"


def _listed(text: str) -> list[str]:
    """The texts of a list, as Python writes it.

    >>> _listed("['', 'norm', 'mean']")
    ['', 'norm', 'mean']
    """
    return [first or second for first, second in _QUOTED.findall(text[:65536])]
