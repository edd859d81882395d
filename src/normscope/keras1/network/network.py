"""From the architecture in a model file to the calls of its layers, with shapes and axis names.

Sequential and functional models, nested to any depth, become one flat list of calls in topological
order. Names that only a later layer tells (is axis 1 of the input the channels?) are carried back
from it: the network is built again with what was learned, until nothing new is.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias, TypeGuard

from normscope.errors import ModelFileError
from normscope.keras1.network.settings import UNKNOWN, Axes, Settings, Tensor
from normscope.keras1.network.shapes import (
    RULES,
    input_axes,
    output_of,
    time_axes,
    with_time,
    without_time,
)

Config: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[str, int]  # a layer of a functional model and which of its calls
Source: TypeAlias = tuple[Key, int]  # and which output of that call

MAX_CALLS = 10_000
MAX_EDGES = 200_000
MAX_NAME_LENGTH = 200
MAX_PATH_LENGTH = 1_000
MAX_ROUNDS = 4
NO_CONFIG: Config = {}
SEQUENCE_INPUTS = (
    *("SimpleRNN", "GRU", "LSTM", "TimeDistributedDense"),
    *("Convolution1D", "AtrousConvolution1D", "LocallyConnected1D"),
)


@dataclass(frozen=True)
class Call:
    """One call of a layer. `inputs` are the ids of the calls whose outputs it takes.

    `id` is the path of the layer, and for the second call of a shared layer the path and `#2`.
    The path of a layer in a nested model begins with the name of that model; `name` is the last
    part, with which the names of its weights begin. A layer with several outputs (Bidirectional
    without merge) has alike ones. `wrapped` are the calls inside a TimeDistributed, as they see
    one step; their ids are unique too, and the first takes its input from outside.
    """

    id: str
    path: str
    name: str
    layer_class: str
    config: Config
    inputs: tuple[str, ...]
    input_tensors: tuple[Tensor, ...]
    output: Tensor
    is_output: bool = False
    wrapped: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Network:
    """All calls of a model in topological order; `outputs` are the ids of those that end it."""

    name: str
    class_name: str
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _consumers(self) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            for source in dict.fromkeys(call.inputs):
                found.setdefault(source, []).append(call)
        return found

    def consumers(self, call_id: str) -> tuple[Call, ...]:
        """The calls that take the output of `call_id`."""
        return tuple(self._consumers.get(call_id, ()))


def build_network(architecture: Config, path: str, ordering: str | None = None) -> Network:
    """The network of an architecture (`ModelFile.architecture`), `path` being for the messages.

    Padding, cropping and upsampling do not save their dim_ordering. It is taken from the names of
    their input, else from `ordering` ("th" or "tf"), else from the layers that do save it, if those
    agree; else their output sizes are unknown.

    Raises: ModelFileError: an unknown or contradictory setting, a missing layer, a cycle.

    >>> layers = [
    ...     {"name": "x", "class_name": "InputLayer", "inbound_nodes": [],
    ...      "config": {"batch_input_shape": [None, 3, 32, 32]}},
    ...     {"name": "bn", "class_name": "BatchNormalization", "inbound_nodes": [[["x", 0, 0]]],
    ...      "config": {}},
    ...     {"name": "conv", "class_name": "Convolution2D", "inbound_nodes": [[["bn", 0, 0]]],
    ...      "config": {"nb_filter": 8, "nb_row": 3, "nb_col": 3, "dim_ordering": "th"}},
    ... ]
    >>> ends = {"input_layers": [["x", 0, 0]], "output_layers": [["conv", 0, 0]]}
    >>> model = {"class_name": "Model", "config": {"name": "m", "layers": layers} | ends}
    >>> for call in build_network(model, "m.json").calls:
    ...     print(call.id, call.output.shape, " ".join(call.output.axes))
    x (None, 3, 32, 32) b c h w
    bn (None, 3, 32, 32) b c h w
    conv (None, 8, 30, 30) b c h w
    """
    ordering = ordering or _common_ordering(architecture)
    learned: dict[str, Axes] = {}
    for _ in range(MAX_ROUNDS):
        builder = _Builder(path, ordering, learned)
        outputs = tuple(dict.fromkeys(ref.id for ref in builder.model(architecture)))
        news = builder.names_from_behind()
        if not news:
            break
        learned |= news
    ends = set(outputs)
    calls = tuple(replace(call, is_output=call.id in ends) for call in builder.calls)
    class_name, config = str(architecture["class_name"]), architecture["config"]
    name = config.get("name") if isinstance(config, dict) else None
    return Network(name if builder.is_name(name) else class_name, class_name, calls, outputs)


# ----------------------------------------------------------------------------- layers as written


@dataclass(frozen=True)
class _Layer:
    """One entry of a list of layers; `config` is a list for a Sequential."""

    name: str
    layer_class: str
    config: object
    inbound_nodes: object = None

    @property
    def is_container(self) -> bool:
        return self.layer_class in ("Sequential", "Model")


@dataclass(frozen=True)
class _Graph:
    """What a functional model says, checked: what each call of each layer takes, in an order."""

    layers: Mapping[str, _Layer]
    sources: Mapping[Key, list[Source]]
    order: Sequence[Key]
    inputs: Sequence[Source]
    outputs: Sequence[Source]


@dataclass(frozen=True)
class _Ref:
    """The output of a call, where another one takes it."""

    id: str
    tensor: Tensor


def _common_ordering(architecture: Config) -> str | None:
    """The dim_ordering of the layers that tell it, if it is the same in all of them."""
    found: set[str] = set()
    pending: list[object] = [architecture]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            found |= {key for key in ("th", "tf") if value.get("dim_ordering") == key}
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found.pop() if len(found) == 1 else None


def _declared_input(layer: Settings) -> Tensor:
    """What the first layer of a Sequential says of its input."""
    if layer.value("batch_input_shape") is not None:
        return Tensor(layer.shape("batch_input_shape"))
    if layer.value("input_shape") is not None:
        return Tensor((None, *layer.shape("input_shape")))
    length = None if layer.value("input_length") is None else layer.integer("input_length")
    if layer.layer_class == "Embedding":
        return Tensor((None, length))
    if layer.value("input_dim") is None:
        return UNKNOWN
    width = layer.integer("input_dim")
    return Tensor((None, length, width) if layer.layer_class in SEQUENCE_INPUTS else (None, width))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


# ---------------------------------------------------------------------------------- the builder


class _Builder:
    """Applies layer after layer, and so collects `calls`.

    A method with `feed` applies a model: to the outputs in `feed` if it is called as a layer, to
    new inputs of its own if `feed` is None. `prefix` is the path of the model around.
    """

    def __init__(self, file: str, ordering: str | None, learned: Mapping[str, Axes]) -> None:
        self.file = file
        self.ordering = ordering
        self.learned = learned
        self.calls: list[Call] = []
        self.ids: set[str] = set()
        self.uses: Counter[str] = Counter()
        self.layers: dict[str, _Layer] = {}
        self.alike: set[tuple[int, int]] = set()  # configs already compared
        self.sequentials: dict[int, str] = {}
        self.graphs: dict[int, _Graph] = {}
        self.applied = 0
        self.edges = 0

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.file, reason)

    # checked reading

    def layer(self, entry: object, where: str) -> _Layer:
        if not isinstance(entry, dict):
            raise self.error(f"a layer of {where} is {reprlib.repr(entry)}, expected an object")
        layer_class, config = entry.get("class_name"), entry.get("config")
        if not self.is_name(layer_class):
            raise self.error(f"a layer of {where} has the class_name {reprlib.repr(layer_class)}")
        name = entry.get("name")
        if name is None and isinstance(config, dict):
            name = config.get("name")
        elif name is None:  # a Sequential has no name inside another one
            name = self.sequentials.setdefault(
                id(config), f"sequential_{len(self.sequentials) + 1}"
            )
        if not self.is_name(name):
            raise self.error(f"a {layer_class} of {where} has the name {reprlib.repr(name)}")
        return _Layer(name, layer_class, config, entry.get("inbound_nodes"))

    def is_name(self, value: object) -> TypeGuard[str]:
        """A text that can be shown: of reasonable length and without control characters."""
        return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()

    def entries(self, value: object, what: str) -> list[object]:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_CALLS:
            raise self.error(
                f"{what} is {reprlib.repr(value)}, expected a list of 1 to {MAX_CALLS} entries"
            )
        return value

    def sources(self, value: object, layers: Mapping[str, _Layer], what: str) -> list[Source]:
        """A list of [layer, call, output]; the first call of a model is that which made it."""
        found: list[Source] = []
        for entry in self.entries(value, what):
            match entry:
                case [str(name), int(call), int(output)] if name in layers and output >= 0:
                    found.append(((name, call - layers[name].is_container), output))
                case _:
                    raise self.error(
                        f"{what} has the entry {reprlib.repr(entry)}, "
                        "expected [name of a layer of that model, number of its call, and output]"
                    )
        return found

    # models

    def model(self, architecture: Config) -> list[_Ref]:
        layer_class, config = architecture.get("class_name"), architecture.get("config")
        if layer_class == "Sequential":
            return self.sequential(config, "", None)
        if layer_class == "Model":
            return self.functional(config, "", None)
        raise self.error(
            f"its class_name is {reprlib.repr(layer_class)}, expected Sequential or Model"
        )

    def sequential(self, config: object, prefix: str, feed: Iterator[_Ref] | None) -> list[_Ref]:
        where = f"the Sequential {prefix!r}" if prefix else "the Sequential"
        first, *rest = self.entries(config, f"the config of {where}")
        refs = self.head(self.layer(first, where), prefix, feed)
        for entry in rest:
            refs = self.call(self.layer(entry, where), prefix, refs)
        return refs

    def head(self, layer: _Layer, prefix: str, feed: Iterator[_Ref] | None) -> list[_Ref]:
        """The first layer of a Sequential, or of a branch of the Merge that is the first."""
        if layer.is_container:
            return self.container(layer, _join(prefix, layer.name), feed)
        if layer.layer_class == "InputLayer":
            return [self.input(layer, prefix, feed)]
        settings = self.settings(layer, prefix)
        if layer.layer_class == "Merge":
            return self.emit(layer, prefix, self.branches(settings, prefix, feed))
        hidden = _Layer(f"{layer.name}_input", "InputLayer", NO_CONFIG)
        return self.emit(
            layer, prefix, [self.input(hidden, prefix, feed, _declared_input(settings))]
        )

    def branches(self, merge: Settings, prefix: str, feed: Iterator[_Ref] | None) -> list[_Ref]:
        where = f"layers of the Merge {merge.path!r}"
        refs: list[_Ref] = []
        for entry in self.entries(merge.value("layers"), where):
            branch = self.layer(entry, where)
            if branch.is_container:  # its layers are saved as if they were layers of the whole
                refs += self.container(branch, prefix, feed)
            else:
                refs += self.head(branch, prefix, feed)
        return refs

    def container(self, layer: _Layer, inside: str, feed: Iterator[_Ref] | None) -> list[_Ref]:
        self.count()
        if layer.layer_class == "Sequential":
            return self.sequential(layer.config, inside, feed)
        return self.functional(layer.config, inside, feed)

    def functional(self, config: object, prefix: str, feed: Iterator[_Ref] | None) -> list[_Ref]:
        where = f"the Model {prefix!r}" if prefix else "the Model"
        if not isinstance(config, dict):
            raise self.error(f"the config of {where} is {reprlib.repr(config)}, expected an object")
        if id(config) not in self.graphs:  # a model that is called often is read once
            self.graphs[id(config)] = self.graph(config, where)
        graph = self.graphs[id(config)]
        self.count_edges(len(graph.inputs) + len(graph.outputs))
        made: dict[Key, list[_Ref]] = {}
        for key, _ in graph.inputs:
            made[key] = [self.input(graph.layers[key[0]], prefix, feed)]
        for key in graph.order:
            taken = [
                self.output(source, graph.layers, made, where) for source in graph.sources[key]
            ]
            made[key] = self.call(graph.layers[key[0]], prefix, taken)
        return [self.output(source, graph.layers, made, where) for source in graph.outputs]

    def graph(self, config: Config, where: str) -> _Graph:
        layers = self.named_layers(config, where)
        inputs = self.sources(config.get("input_layers"), layers, f"input_layers of {where}")
        sources = self.taken_sources(layers, where)
        order = self.order(sources, {key for key, _ in inputs}, where)
        outputs = self.sources(config.get("output_layers"), layers, f"output_layers of {where}")
        return _Graph(layers, sources, order, inputs, outputs)

    def named_layers(self, config: Config, where: str) -> dict[str, _Layer]:
        layers: dict[str, _Layer] = {}
        for entry in self.entries(config.get("layers"), f"layers of {where}"):
            layer = self.layer(entry, where)
            if layer.name in layers:
                raise self.error(f"{where} has two layers of the name {layer.name!r}")
            layers[layer.name] = layer
        return layers

    def taken_sources(self, layers: Mapping[str, _Layer], where: str) -> dict[Key, list[Source]]:
        """For each call of each layer, what it takes."""
        graph: dict[Key, list[Source]] = {}
        for layer in layers.values():
            what = f"inbound_nodes of layer {layer.name!r} of {where}"
            if not isinstance(layer.inbound_nodes, list):
                raise self.error(f"{what} is {reprlib.repr(layer.inbound_nodes)}, expected a list")
            for index, node in enumerate(layer.inbound_nodes):
                graph[layer.name, index] = self.sources(node, layers, what)
        return graph

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

    def output(
        self,
        source: Source,
        layers: Mapping[str, _Layer],
        made: Mapping[Key, list[_Ref]],
        where: str,
    ) -> _Ref:
        key, index = source
        layer, refs = layers[key[0]], made.get(key, [])
        if refs and not layer.is_container and layer.layer_class not in RULES:
            return refs[0]  # how many outputs a layer of an unknown class has is not known
        if index >= len(refs):
            raise self.error(f"{where} takes an output of layer {layer.name!r} that no call makes")
        return refs[index]

    # layers

    def call(self, layer: _Layer, prefix: str, refs: list[_Ref]) -> list[_Ref]:
        """The outputs of a layer or of a nested model."""
        if not layer.is_container:
            return self.emit(layer, prefix, refs)
        feed = iter(refs)
        outputs = self.container(layer, _join(prefix, layer.name), feed)
        if next(feed, None) is not None:
            raise self.error(f"the model {layer.name!r} is called with too many inputs")
        return outputs

    def input(
        self,
        layer: _Layer,
        prefix: str,
        feed: Iterator[_Ref] | None,
        declared: Tensor | None = None,
    ) -> _Ref:
        if layer.layer_class != "InputLayer":
            raise self.error(f"layer {layer.name!r} is an input, but no InputLayer")
        if declared is None:
            declared = _declared_input(self.settings(layer, prefix))
        if feed is None:
            return self.add(layer, prefix, [], declared)
        given = next(feed, None)
        if given is None:
            raise self.error(f"the model {prefix!r} is called with too few inputs")
        return given if given.tensor.shape is not None else _Ref(given.id, declared)

    def emit(self, layer: _Layer, prefix: str, refs: list[_Ref]) -> list[_Ref]:
        """The outputs of one layer; the two of a Bidirectional without merge are alike."""
        settings = self.settings(layer, prefix)
        if layer.layer_class == "TimeDistributed":
            return [self.time_distributed(layer, settings, prefix, refs)]
        output = self.add(layer, prefix, refs, output_of(settings, [ref.tensor for ref in refs]))
        both = (
            settings.layer_class == "Bidirectional"
            and settings.config.get("merge_mode", "") is None
        )
        return [output, output] if both else [output]

    def time_distributed(
        self, layer: _Layer, settings: Settings, prefix: str, refs: list[_Ref]
    ) -> _Ref:
        if len(refs) != 1:
            raise settings.error(f"expected one input, got {len(refs)}")
        sequence = refs[0].tensor
        step = _Ref(refs[0].id, without_time(settings, sequence))
        around, self.calls = self.calls, []
        inner = self.layer(settings.value("layer"), f"the TimeDistributed {settings.path!r}")
        result, *_ = self.call(inner, settings.path, [step])
        wrapped, self.calls = tuple(self.calls), around
        output = with_time(result.tensor, sequence.shape[1] if sequence.shape else None)
        return self.add(layer, prefix, refs, output, wrapped)

    def settings(self, layer: _Layer, prefix: str) -> Settings:
        path = _join(prefix, layer.name)
        if len(path) > MAX_PATH_LENGTH:
            raise self.error(
                f"a layer has a path of more than {MAX_PATH_LENGTH} letters: {path:.60}"
            )
        if not isinstance(layer.config, dict):
            found = reprlib.repr(layer.config)
            raise self.error(f"layer {path!r} has the config {found}, expected an object")
        return Settings(self.file, path, layer.layer_class, layer.config, self.ordering)

    def add(
        self,
        layer: _Layer,
        prefix: str,
        refs: Sequence[_Ref],
        output: Tensor,
        wrapped: tuple[Call, ...] = (),
    ) -> _Ref:
        self.count()
        self.count_edges(len(refs))
        settings = self.settings(layer, prefix)
        call_id = self.new_id(layer, settings.path)
        names = self.learned.get(call_id)
        if names and output.axes is None and len(output.shape or names) == len(names):
            output = Tensor(output.shape or (None,) * len(names), names)
        self.calls.append(
            Call(
                id=call_id,
                path=settings.path,
                name=layer.name,
                layer_class=layer.layer_class,
                config=settings.config,
                inputs=tuple(ref.id for ref in refs),
                input_tensors=tuple(ref.tensor for ref in refs),
                output=output,
                wrapped=wrapped,
            )
        )
        return _Ref(call_id, output)

    def new_id(self, layer: _Layer, path: str) -> str:
        """The path; a second layer of that path must be the same one, as Keras would share it."""
        known = self.layers.setdefault(path, layer)
        pair = id(known.config), id(layer.config)
        if known.layer_class != layer.layer_class or (
            pair not in self.alike and known.config != layer.config
        ):
            raise self.error(f"two different layers have the name {path!r}")
        self.alike.add(pair)
        self.uses[path] += 1
        call_id = path if self.uses[path] == 1 else f"{path}#{self.uses[path]}"
        if call_id in self.ids:
            raise self.error(f"layer {path!r} has the name of a call of another layer")
        self.ids.add(call_id)
        return call_id

    def count(self) -> None:
        self.applied += 1
        if self.applied > MAX_CALLS:
            raise self.error(f"its layers are called more than {MAX_CALLS} times")

    def count_edges(self, number: int) -> None:
        self.edges += number
        if self.edges > MAX_EDGES:
            raise self.error(f"its layers take more than {MAX_EDGES} inputs together")

    # names from behind

    def names_from_behind(self) -> dict[str, Axes]:
        """The axis names that calls give to an output before them that has none, by its id."""
        wanted: dict[str, Axes] = {}
        self.carry_back(self.calls, wanted)
        return wanted

    def carry_back(self, calls: Sequence[Call], wanted: dict[str, Axes]) -> None:
        for call in reversed(calls):
            names = call.output.axes or wanted.get(call.id)
            for source, tensor in zip(call.inputs, call.input_tensors, strict=True):
                if tensor.axes is None and source not in wanted:
                    axes = self.input_names(call, tensor, names, wanted)
                    if axes and len(tensor.shape or axes) == len(axes):
                        wanted[source] = axes

    def input_names(
        self, call: Call, tensor: Tensor, names: Axes | None, wanted: dict[str, Axes]
    ) -> Axes | None:
        settings = Settings(self.file, call.path, call.layer_class, call.config, self.ordering)
        if call.layer_class != "TimeDistributed":
            return input_axes(settings, tensor, names)
        inside: dict[str, Axes] = {}
        if call.wrapped and names:
            inside[call.wrapped[-1].id] = names[:1] + names[2:]
        self.carry_back(call.wrapped, inside)
        step = inside.pop(call.inputs[0], None)
        wanted |= inside
        return time_axes(step)
