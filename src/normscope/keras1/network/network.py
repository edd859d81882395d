"""From the architecture in a model file to its layers, their calls, shapes and axis names.

Names that only a later layer tells (is axis 1 of the input the channels?) are carried back from it:
the layers are called again with what was learned, until nothing new is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from normscope.keras1.network.axis_names import names_from_behind
from normscope.keras1.network.calls import Call, calls_of
from normscope.keras1.network.layers import Config, Layer, read_layers
from normscope.keras1.network.settings import Axes

MAX_ROUNDS = 4


@dataclass(frozen=True)
class Network:
    """A model: its layers as they are written, and all their calls in topological order.

    Attributes:
        model: with the layers and the models in it.
        calls: of the layers, in models of models too.
        outputs: the ids of the calls that end the model.
    """

    model: Layer
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the model, or its class where it has none."""
        return self.model.name

    @property
    def class_name(self) -> str:
        """The class of the model: Sequential or Model."""
        return self.model.layer_class

    @cached_property
    def _consumers(self) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            for source in dict.fromkeys(call.inputs):
                found.setdefault(source, []).append(call)
        return found

    def all_calls(self) -> Iterator[Call]:
        """The calls, each followed by those inside it."""
        return _with_wrapped(self.calls)

    def consumers(self, call_id: str) -> tuple[Call, ...]:
        """The calls that take the output of `call_id`."""
        return tuple(self._consumers.get(call_id, ()))


def _with_wrapped(calls: Iterable[Call]) -> Iterator[Call]:
    for call in calls:
        yield call
        yield from _with_wrapped(call.wrapped)


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
    model = read_layers(architecture, path)
    ordering = ordering or _common_ordering(architecture)
    learned: dict[str, Axes] = {}
    for _ in range(MAX_ROUNDS):
        calls, outputs = calls_of(model, path, ordering, learned)
        news = names_from_behind(calls, path, ordering)
        if not news:
            break
        learned |= news
    ends = set(outputs)
    return Network(
        model=model,
        calls=tuple(replace(call, is_output=call.id in ends) for call in calls),
        outputs=outputs,
    )


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
