"""The layers of an architecture as they are written: models in models, read once and checked.

The calls (`calls`) and the live model (`keras1.live.building`) are made from what is read here.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias, TypeGuard

from normscope.errors import ModelFileError

Config: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[str, int]
"""The name of a layer of a functional model, and which of its calls."""

Source: TypeAlias = tuple[Key, int]
"""A call, and which of its outputs."""

MAX_ENTRIES = 10_000
MAX_NAME_LENGTH = 200
MAX_PATH_LENGTH = 1_000
CONTAINERS = ("Sequential", "Model")


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of an architecture, or a model in it; a layer that is called twice is one object.

    Attributes:
        path: the name, after the path of the model around. The layers in the branches of a Merge
            have paths as if they were layers of the whole, as their weights are saved so.
        name: with which the names of its weights begin.
        layer_class: as written.
        config: the settings; empty for a model.
        contents: of a Sequential its layers, of a functional model its graph, else None.
        branches: of a Merge that is the first layer of a Sequential.
        inside: the layer in a wrapper.
    """

    path: str
    name: str
    layer_class: str
    config: Config = field(default_factory=dict)
    contents: tuple[Layer, ...] | Graph | None = None
    branches: tuple[Layer, ...] = ()
    inside: Layer | None = None


@dataclass(frozen=True)
class Graph:
    """A functional model: what each call of each layer takes, in an order in which it can be made.

    Attributes:
        layers: those that are called, by name, in the order of the file.
        sources: of each call, what it takes.
        order: the calls, each after those that it takes from; without those of the inputs.
        inputs, outputs: of the model.
    """

    layers: Mapping[str, Layer]
    sources: Mapping[Key, Sequence[Source]]
    order: Sequence[Key]
    inputs: Sequence[Source]
    outputs: Sequence[Source]


def read_layers(architecture: Config, file: str) -> Layer:
    """The model of an architecture, with all that is in it.

    Args:
        architecture: the class_name and config of a model.
        file: as the messages name it.

    Raises:
        ModelFileError: an entry is not as Keras 1 writes it, a layer is missing, or a model has a
            cycle.

    >>> dense = {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 2}}
    >>> model = read_layers({"class_name": "Sequential", "config": [dense]}, "m.json")
    >>> [layer.path for layer in model.contents]
    ['dense_1']
    """
    return _Reader(file).model(architecture)


def joined(prefix: str, name: str) -> str:
    """The path of a layer in the model of the path `prefix`.

    >>> joined("", "dense_1"), joined("inner", "dense_1")
    ('dense_1', 'inner/dense_1')
    """
    return f"{prefix}/{name}" if prefix else name


@dataclass(frozen=True)
class _Entry:
    """One entry of a list of layers; what is inside it is not read yet."""

    name: str
    layer_class: str
    config: object
    inbound_nodes: object = None

    @property
    def is_container(self) -> bool:
        return self.layer_class in CONTAINERS

    def is_like(self, other: _Entry) -> bool:
        return self.layer_class == other.layer_class and self.config == other.config


class _Scope:
    """The layers of one Sequential by name: a second entry that is the same is the same layer."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[_Entry, Layer]] = {}

    def find(self, entry: _Entry) -> Layer | None:
        first, layer = self.known.get(entry.name, (None, None))
        return layer if first is not None and first.is_like(entry) else None

    def add(self, entry: _Entry, layer: Layer) -> Layer:
        self.known.setdefault(entry.name, (entry, layer))
        return layer


class _Reader:
    """Reads layer after layer. `prefix` is the path of the model around, `where` that in words."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.unnamed = 0

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.file, reason)

    # models

    def model(self, architecture: Config) -> Layer:
        layer_class, config = architecture.get("class_name"), architecture.get("config")
        if layer_class not in CONTAINERS:
            raise self.error(
                f"its class_name is {reprlib.repr(layer_class)}, expected Sequential or Model"
            )
        name = config.get("name") if isinstance(config, dict) else None
        return self.container(
            _Entry(name if is_name(name) else str(layer_class), str(layer_class), config), ""
        )

    def container(self, entry: _Entry, path: str) -> Layer:
        if entry.layer_class == "Sequential":
            where = f"the Sequential {path!r}" if path else "the Sequential"
            contents: tuple[Layer, ...] | Graph = self.sequence(entry.config, path, where)
        else:
            where = f"the Model {path!r}" if path else "the Model"
            contents = self.graph(entry.config, path, where)
        return Layer(path, entry.name, entry.layer_class, contents=contents)

    def sequence(self, config: object, prefix: str, where: str) -> tuple[Layer, ...]:
        scope = _Scope()
        first, *rest = self.entries(config, f"the config of {where}")
        return (
            self.head(self.entry(first, where), prefix, scope),
            *(self.in_scope(self.entry(value, where), prefix, scope) for value in rest),
        )

    def in_scope(self, entry: _Entry, prefix: str, scope: _Scope) -> Layer:
        return scope.find(entry) or scope.add(entry, self.layer(entry, prefix))

    def head(self, entry: _Entry, prefix: str, scope: _Scope) -> Layer:
        """The first layer of a Sequential, or of a branch of the Merge that is the first."""
        if entry.layer_class != "Merge":
            return self.in_scope(entry, prefix, scope)
        merge = self.layer(entry, prefix)
        where = f"layers of the Merge {merge.path!r}"
        branches = []
        for value in self.entries(merge.config.get("layers"), where):
            branch = self.entry(value, where)
            if not branch.is_container:
                branches.append(self.head(branch, prefix, scope))
            else:  # its layers are saved as if they were layers of the whole
                branches.append(
                    scope.find(branch) or scope.add(branch, self.container(branch, prefix))
                )
        return scope.add(entry, replace(merge, branches=tuple(branches)))

    def graph(self, config: object, prefix: str, where: str) -> Graph:
        if not isinstance(config, dict):
            raise self.error(f"the config of {where} is {reprlib.repr(config)}, expected an object")
        entries = self.named_entries(config, where)
        inputs = self.sources(config.get("input_layers"), entries, f"input_layers of {where}")
        sources = self.taken_sources(entries, where)
        order = self.order(sources, {key for key, _ in inputs}, where)
        outputs = self.sources(config.get("output_layers"), entries, f"output_layers of {where}")
        made: dict[str, Layer] = {}
        for name, _ in [*(key for key, _ in inputs), *order]:
            if name not in made:
                made[name] = self.layer(entries[name], prefix)
        layers = {name: made[name] for name in entries if name in made}
        return Graph(layers, sources, order, inputs, outputs)

    def named_entries(self, config: Config, where: str) -> dict[str, _Entry]:
        found: dict[str, _Entry] = {}
        for value in self.entries(config.get("layers"), f"layers of {where}"):
            entry = self.entry(value, where)
            if entry.name in found:
                raise self.error(f"{where} has two layers of the name {entry.name!r}")
            found[entry.name] = entry
        return found

    def taken_sources(self, entries: Mapping[str, _Entry], where: str) -> dict[Key, list[Source]]:
        """For each call of each layer, what it takes."""
        taken: dict[Key, list[Source]] = {}
        for entry in entries.values():
            what = f"inbound_nodes of layer {entry.name!r} of {where}"
            if not isinstance(entry.inbound_nodes, list):
                raise self.error(f"{what} is {reprlib.repr(entry.inbound_nodes)}, expected a list")
            for index, node in enumerate(entry.inbound_nodes):
                taken[entry.name, index] = self.sources(node, entries, what)
        return taken

    def order(self, graph: Mapping[Key, list[Source]], made: Set[Key], where: str) -> list[Key]:
        """The calls in an order in which each comes after those it takes from."""
        waits = {key: [source for source, _ in taken] for key, taken in graph.items()}
        for source in (source for taken in waits.values() for source in taken):
            if source not in waits and source not in made:
                raise self.error(
                    f"{where} takes an output of layer {source[0]!r} that no call makes"
                )
        try:
            order = list(TopologicalSorter(waits).static_order())
        except CycleError as error:
            names = " -> ".join(repr(name) for name, _ in error.args[1][:6])
            raise self.error(f"{where} has a cycle: {names}") from error
        return [key for key in order if key not in made]

    # layers

    def layer(self, entry: _Entry, prefix: str) -> Layer:
        path = joined(prefix, entry.name)
        if len(path) > MAX_PATH_LENGTH:
            raise self.error(
                f"a layer has a path of more than {MAX_PATH_LENGTH} letters: {path:.60}"
            )
        if entry.is_container:
            return self.container(entry, path)
        if not isinstance(entry.config, dict):
            found = reprlib.repr(entry.config)
            raise self.error(f"layer {path!r} has the config {found}, expected an object")
        inside = self.inside(entry.layer_class, entry.config.get("layer"), path)
        return Layer(path, entry.name, entry.layer_class, entry.config, inside=inside)

    def inside(self, layer_class: str, value: object, path: str) -> Layer | None:
        """The layer in a wrapper; a layer of an unknown class may have another setting so named."""
        if layer_class != "TimeDistributed" and not is_layer(value):
            return None
        return self.layer(self.entry(value, f"the {layer_class} {path!r}"), path)

    def entry(self, value: object, where: str) -> _Entry:
        if not isinstance(value, dict):
            raise self.error(f"a layer of {where} is {reprlib.repr(value)}, expected an object")
        layer_class, config = value.get("class_name"), value.get("config")
        if not is_name(layer_class):
            raise self.error(f"a layer of {where} has the class_name {reprlib.repr(layer_class)}")
        name = value.get("name")
        if name is None and isinstance(config, dict):
            name = config.get("name")
        elif name is None:  # a Sequential has no name inside another one
            self.unnamed += 1
            name = f"sequential_{self.unnamed}"
        if not is_name(name):
            raise self.error(f"a {layer_class} of {where} has the name {reprlib.repr(name)}")
        return _Entry(name, layer_class, config, value.get("inbound_nodes"))

    def entries(self, value: object, what: str) -> list[object]:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_ENTRIES:
            raise self.error(
                f"{what} is {reprlib.repr(value)}, expected a list of 1 to {MAX_ENTRIES} entries"
            )
        return value

    def sources(self, value: object, entries: Mapping[str, _Entry], what: str) -> list[Source]:
        """A list of [layer, call, output]; the first call of a model is that which made it."""
        found: list[Source] = []
        for item in self.entries(value, what):
            match item:
                case [str(name), int(call), int(output)] if name in entries and output >= 0:
                    found.append(((name, call - entries[name].is_container), output))
                case _:
                    raise self.error(
                        f"{what} has the entry {reprlib.repr(item)}, "
                        "expected [name of a layer of that model, number of its call, and output]"
                    )
        return found


def is_name(value: object) -> TypeGuard[str]:
    r"""Whether a value is a text that can be shown: not too long, without control characters.

    >>> is_name("dense_1"), is_name("a\nb"), is_name(None)
    (True, False, False)
    """
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()


def is_layer(value: object) -> bool:
    """Whether a setting is an object with class_name, and config with the name of a layer.

    >>> is_layer({"class_name": "Dense", "config": {"name": "dense_1"}}), is_layer("dense_1")
    (True, False)
    """
    match value:
        case {"class_name": str(layer_class), "config": {"name": name}}:
            return is_name(layer_class) and is_name(name)
    return False
