"""The calls of the layers of a model, in topological order, with shapes and axis names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from normscope.errors import ModelFileError
from normscope.keras1.network.layers import Config, Graph, Key, Layer, Source
from normscope.keras1.network.settings import UNKNOWN, Axes, Settings, Tensor
from normscope.keras1.network.shapes import RULES, output_of, with_time, without_time

MAX_CALLS = 10_000
MAX_EDGES = 200_000
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


def calls_of(
    model: Layer, file: str, ordering: str | None, learned: Mapping[str, Axes]
) -> tuple[list[Call], tuple[str, ...]]:
    """The calls of a model, and the ids of those that end it.

    Args:
        model: of `read_layers`.
        file: as the messages name it.
        ordering: the dim_ordering of layers that do not say theirs.
        learned: axis names by the ids of the calls whose output has them.

    Raises:
        ModelFileError: an unknown or contradictory setting, or an output that no call makes.
    """
    caller = _Caller(file, ordering, learned)
    outputs = tuple(dict.fromkeys(output.id for output in caller.container(model, None)))
    return caller.calls, outputs


@dataclass(frozen=True)
class _Output:
    """The output of a call, where another one takes it."""

    id: str
    tensor: Tensor


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


class _Caller:
    """Calls layer after layer, and so collects `calls`.

    A method with `feed` calls a model: on the outputs in `feed` if it is called as a layer, on
    new inputs of its own if `feed` is None. `model` is the path of the model around.
    """

    def __init__(self, file: str, ordering: str | None, learned: Mapping[str, Axes]) -> None:
        self.file = file
        self.ordering = ordering
        self.learned = learned
        self.calls: list[Call] = []
        self.ids: set[str] = set()
        self.uses: Counter[str] = Counter()
        self.layers: dict[str, Layer] = {}
        self.alike: set[tuple[Layer, Layer]] = set()  # configs already compared
        self.count = 0
        self.edges = 0

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.file, reason)

    # models

    def container(self, model: Layer, feed: Iterator[_Output] | None) -> list[_Output]:
        if isinstance(model.contents, Graph):
            return self.functional(model.contents, model.path, feed)
        first, *rest = model.contents or ()
        outputs = self.head(first, model.path, feed)
        for layer in rest:
            outputs = self.call(layer, outputs)
        return outputs

    def head(self, layer: Layer, model: str, feed: Iterator[_Output] | None) -> list[_Output]:
        """The first layer of a Sequential, or of a branch of the Merge that is the first."""
        if layer.contents is not None:
            self.count_call()
            return self.container(layer, feed)
        if layer.layer_class == "InputLayer":
            return [self.input(layer, model, feed)]
        if layer.layer_class == "Merge":
            branches = [self.head(branch, model, feed) for branch in layer.branches]
            return self.emit(layer, [output for outputs in branches for output in outputs])
        declared = _declared_input(self.settings(layer))
        hidden = Layer(f"{layer.path}_input", f"{layer.name}_input", "InputLayer")
        return self.emit(layer, [self.input(hidden, model, feed, declared)])

    def functional(self, graph: Graph, path: str, feed: Iterator[_Output] | None) -> list[_Output]:
        where = f"the Model {path!r}" if path else "the Model"
        self.count_edges(len(graph.inputs) + len(graph.outputs))
        made: dict[Key, list[_Output]] = {}
        for key, _ in graph.inputs:
            made[key] = [self.input(graph.layers[key[0]], path, feed)]
        for key in graph.order:
            taken = [self.output(source, graph, made, where) for source in graph.sources[key]]
            made[key] = self.call(graph.layers[key[0]], taken)
        return [self.output(source, graph, made, where) for source in graph.outputs]

    def output(
        self, source: Source, graph: Graph, made: Mapping[Key, list[_Output]], where: str
    ) -> _Output:
        key, index = source
        outputs = made.get(key, [])
        if outputs:
            layer = graph.layers[key[0]]
            if layer.contents is None and layer.layer_class not in RULES:
                return outputs[0]  # how many outputs a layer of an unknown class has is not known
        if index >= len(outputs):
            raise self.error(f"{where} takes an output of layer {key[0]!r} that no call makes")
        return outputs[index]

    # layers

    def call(self, layer: Layer, inputs: list[_Output]) -> list[_Output]:
        """The outputs of a layer or of a nested model."""
        if layer.contents is None:
            return self.emit(layer, inputs)
        self.count_call()
        feed = iter(inputs)
        outputs = self.container(layer, feed)
        if next(feed, None) is not None:
            raise self.error(f"the model {layer.name!r} is called with too many inputs")
        return outputs

    def input(
        self,
        layer: Layer,
        model: str,
        feed: Iterator[_Output] | None,
        declared: Tensor | None = None,
    ) -> _Output:
        if layer.layer_class != "InputLayer":
            raise self.error(f"layer {layer.name!r} is an input, but no InputLayer")
        if declared is None:
            declared = _declared_input(self.settings(layer))
        if feed is None:
            return self.add(layer, [], declared)
        given = next(feed, None)
        if given is None:
            raise self.error(f"the model {model!r} is called with too few inputs")
        return given if given.tensor.shape is not None else _Output(given.id, declared)

    def emit(self, layer: Layer, inputs: list[_Output]) -> list[_Output]:
        """The outputs of one layer; the two of a Bidirectional without merge are alike."""
        settings = self.settings(layer)
        if layer.layer_class == "TimeDistributed":
            return [self.time_distributed(layer, settings, inputs)]
        output = self.add(layer, inputs, output_of(settings, [one.tensor for one in inputs]))
        both = layer.layer_class == "Bidirectional" and layer.config.get("merge_mode", "") is None
        return [output, output] if both else [output]

    def time_distributed(self, layer: Layer, settings: Settings, inputs: list[_Output]) -> _Output:
        if len(inputs) != 1:
            raise settings.error(f"expected one input, got {len(inputs)}")
        assert layer.inside is not None  # so the layers were read
        sequence = inputs[0].tensor
        step = _Output(inputs[0].id, without_time(settings, sequence))
        around, self.calls = self.calls, []
        result, *_ = self.call(layer.inside, [step])
        wrapped, self.calls = tuple(self.calls), around
        output = with_time(result.tensor, sequence.shape[1] if sequence.shape else None)
        return self.add(layer, inputs, output, wrapped)

    def settings(self, layer: Layer) -> Settings:
        return Settings(self.file, layer.path, layer.layer_class, layer.config, self.ordering)

    def add(
        self,
        layer: Layer,
        inputs: Sequence[_Output],
        output: Tensor,
        wrapped: tuple[Call, ...] = (),
    ) -> _Output:
        self.count_call()
        self.count_edges(len(inputs))
        call_id = self.new_id(layer)
        names = self.learned.get(call_id)
        if names and output.axes is None and len(output.shape or names) == len(names):
            output = Tensor(output.shape or (None,) * len(names), names)
        self.calls.append(
            Call(
                id=call_id,
                path=layer.path,
                name=layer.name,
                layer_class=layer.layer_class,
                config=layer.config,
                inputs=tuple(one.id for one in inputs),
                input_tensors=tuple(one.tensor for one in inputs),
                output=output,
                wrapped=wrapped,
            )
        )
        return _Output(call_id, output)

    def new_id(self, layer: Layer) -> str:
        """The path; a second layer of that path must be the same one, as Keras would share it."""
        path = layer.path
        known = self.layers.setdefault(path, layer)
        if known is not layer and (known, layer) not in self.alike:
            if known.layer_class != layer.layer_class or known.config != layer.config:
                raise self.error(f"two different layers have the name {path!r}")
            self.alike.add((known, layer))
        self.uses[path] += 1
        call_id = path if self.uses[path] == 1 else f"{path}#{self.uses[path]}"
        if call_id in self.ids:
            raise self.error(f"layer {path!r} has the name of a call of another layer")
        self.ids.add(call_id)
        return call_id

    def count_call(self) -> None:
        self.count += 1
        if self.count > MAX_CALLS:
            raise self.error(f"its layers are called more than {MAX_CALLS} times")

    def count_edges(self, number: int) -> None:
        self.edges += number
        if self.edges > MAX_EDGES:
            raise self.error(f"its layers take more than {MAX_EDGES} inputs together")
