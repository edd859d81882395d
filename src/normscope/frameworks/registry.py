"""The frameworks, one row for each: what its folder holds, and which objects are its own.

An object is known by the modules of its classes, so no framework is imported before one of its own
objects has come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normscope.errors import SpecError
from normscope.wording import qualified

if TYPE_CHECKING:
    from normscope.frameworks.advice import Advice
    from normscope.frameworks.condition import Condition
    from normscope.frameworks.declaration import Declaration
    from normscope.frameworks.live import FirstCall, Live
    from normscope.frameworks.preset_patterns import Preset
    from normscope.frameworks.state import State
    from normscope.graph.operators import Node


@dataclass(frozen=True)
class Kind:
    """Objects of one base class of a framework, which can be called.

    Attributes:
        home: the module of the base class, or how its name begins.
        names: of the base class, or of several.
        live: the `Live` of such an object, as "module:class" in the folder of the framework.
        state: what makes the `State` of one, likewise; "" if it holds nothing that can change.
    """

    home: str
    names: tuple[str, ...]
    live: str
    state: str = ""


@dataclass(frozen=True)
class Framework:
    """What is known of a framework, in the folder of its name.

    Attributes:
        name: of the folder.
        kinds: what of it can be called.
        presets: its `presets` has `PRESETS`, which turn names into specs.
        settings: its `settings` has `from_layer`, which reads what a layer declares.
        advice: its `advice` has `ADVICE`, what its users write instead.
        condition: its `condition` has `condition`, which tells how a layer stands.
        generators: the module that is loaded where its common random generators may be in use;
            its `randomness` has `CommonGenerators`; "" if it has none.
        arrays: the packages of its arrays; `arrays` of the folder has `to_numpy` and `like`.
        files: what loads its files, by their endings, with the path for `{path!r}`.
        opens: what opens its files as data, by their endings, as "module:function" of a path.
    """

    name: str
    kinds: tuple[Kind, ...] = ()
    presets: bool = False
    settings: bool = False
    advice: bool = False
    condition: bool = False
    generators: str = ""
    arrays: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    opens: Mapping[str, str] = field(default_factory=dict)

    def part(self, place: str) -> Any:
        """A module of the folder, or as "module:name" what it holds by that name."""
        module, _, name = place.partition(":")
        found = import_module(f"{__package__}.{self.name}.{module}")
        return getattr(found, name) if name else found


_KERAS_HDF5 = "normscope.keras1.load_model({path!r}) or keras.models.load_model({path!r})"
_TORCH_WEIGHTS = "its class, with the weights that torch.load({path!r}) reads"

FRAMEWORKS = (
    Framework("textbook", presets=True),
    Framework(
        "torch",
        (
            Kind("torch.nn.modules.module", ("Module",), "live:TorchLive", "state:TorchState"),
            Kind("torch.export.", ("ExportedProgram",), "exported.live:ProgramLive"),
            Kind("normscope.frameworks.torch.", ("Program",), "exported.live:ProgramLive"),
        ),
        presets=True,
        settings=True,
        advice=True,
        condition=True,
        generators="torch.random",
        arrays=("torch",),
        files={".pt": _TORCH_WEIGHTS, ".pth": _TORCH_WEIGHTS},
        opens={".pt2": "exported.from_file:program_in"},
    ),
    Framework(
        "keras",
        (
            Kind("keras.src.layers.layer", ("Layer",), "live:KerasLive", "state:built_state"),
            Kind(
                "normscope.frameworks.keras.saved.reading",
                ("KerasFile",),
                "saved.live:KerasFileLive",
            ),
        ),
        presets=True,
        settings=True,
        advice=True,
        condition=True,
        generators="keras.src.backend.common.global_state",
        opens={".keras": "saved.file:keras_file"},
        files={
            ".keras": "keras.models.load_model({path!r})",
            ".h5": _KERAS_HDF5,
            ".hdf5": _KERAS_HDF5,
        },
    ),
    Framework(
        "flax",
        (
            Kind("flax.nnx.module", ("Module",), "nnx_live:NnxLive", "nnx_state:NnxState"),
            Kind("flax.linen.module", ("Module",), "linen_live:LinenLive"),
        ),
        presets=True,
        settings=True,
        advice=True,
        condition=True,
    ),
    Framework(
        "haiku",
        (Kind("haiku.", ("Transformed", "TransformedWithState"), "live:HaikuLive"),),
        advice=True,
    ),
    Framework("equinox", (Kind("equinox._module", ("Module",), "live:EquinoxLive"),), advice=True),
    Framework("jax", advice=True, arrays=("jax", "jaxlib")),
    Framework("tensorflow", arrays=("tensorflow",)),
    Framework(
        "onnx",
        (
            Kind("onnx", ("ModelProto", "NodeProto"), "live:OnnxLive"),
            Kind("normscope.frameworks.onnx.file", ("OnnxFile",), "live:OnnxLive"),
        ),
        presets=True,
        advice=True,
        condition=True,
        opens={".onnx": "file:onnx_model"},
    ),
    Framework("sklearn", presets=True, settings=True),
    Framework("torch_geometric", presets=True),
    Framework("keras1", presets=True, advice=True),
)
"""The order is that of the names of presets."""

_FUNCTION = Framework("function", (Kind("", (), "live:FunctionLive"),))


def kind_of(thing: object) -> tuple[Framework, Kind] | None:
    """The framework that an object is of, or the first of a pair; None for anything else.

    >>> kind_of(3) is None
    True
    """
    subject = thing[0] if type(thing) in (tuple, list) and thing else thing  # type: ignore[index]
    # the most derived class first: a layer of Keras may be a module of torch too
    for cls in type(subject).__mro__:
        for framework in FRAMEWORKS:
            for kind in framework.kinds:
                if cls.__name__ in kind.names and cls.__module__.startswith(kind.home):
                    return framework, kind
    return None


def is_of(thing: object, name: str) -> bool:
    """Whether an object is of the framework of this name."""
    found = kind_of(thing)
    return found is not None and found[0].name == name


def live_of(model: Any, first: FirstCall, refusal: str) -> Live:
    """A layer, model or function, ready to be called.

    Args:
        model: a layer or model of a framework, a pair of it and its variables, or a function.
        first: gives the arguments of a first call, by which shapes are found where they are open.
        refusal: what to say of an object that cannot be called, with `{kind}` for its class.

    Raises:
        SpecError: it cannot be called.
        MissingPackageError: what runs it is not installed.
    """
    framework, kind = kind_of(model) or (_FUNCTION, _FUNCTION.kinds[0])
    if framework is _FUNCTION and not callable(model):
        raise SpecError(refusal.format(kind=qualified(type(model).__qualname__)))
    make: Callable[[Any, FirstCall], Live] = framework.part(kind.live)
    return make(model, first)


def state_of(part: object) -> State | None:
    """What an object of a framework holds, as it is found; None if there is nothing to put back."""
    found = None if type(part) in (tuple, list) else kind_of(part)
    if found is None or not found[1].state:
        return None
    make: Callable[[object], State | None] = found[0].part(found[1].state)
    return make(part)


def common_generators() -> Iterator[State]:
    """The random generators that frameworks share among all their models, where they are loaded."""
    for framework in FRAMEWORKS:
        if framework.generators in sys.modules:
            yield framework.part("randomness:CommonGenerators")()


def readers_of_settings() -> Iterator[Callable[[object, int | None], Declaration | None]]:
    """What reads the settings of layers; each knows its own, and gives None for all others."""
    return (f.part("settings:from_layer") for f in FRAMEWORKS if f.settings)


def advice_of(name: str) -> Advice:
    """What users of a framework write instead; of one that has no words of its own, those of JAX.

    >>> advice_of("torch").framework
    'PyTorch'
    """
    found = next((f for f in FRAMEWORKS if f.name == name and f.advice), None)
    chosen = found or next(f for f in FRAMEWORKS if f.name == "jax")
    advice: Advice = chosen.part("advice:ADVICE")
    return advice


def condition_at(node: Node, parameters: Mapping[str, str], name: str) -> Condition:
    """How the layer stands that an operator belongs to; where nothing tells it, all is None.

    Args:
        node: an operator that normalizes.
        parameters: where the model holds its scale and bias, by role.
        name: of the framework of the model, which tells it where there is no layer, as in a file.
    """
    from normscope.frameworks.condition import UNKNOWN

    layer = node.call.layer
    found = None if layer is None else kind_of(layer)
    framework = found[0] if found else next((f for f in FRAMEWORKS if f.name == name), None)
    if framework is None or not framework.condition:
        return UNKNOWN
    told: Condition = framework.part("condition:condition")(node, parameters)
    return told


def all_presets() -> dict[str, Preset]:
    """The presets of all frameworks, by name."""
    found: dict[str, Preset] = {}
    for framework in FRAMEWORKS:
        if framework.presets:
            found |= framework.part("presets:PRESETS")
    return found


def arrays_of(array: object) -> Any | None:
    """The module with `to_numpy` and `like` for an array of a framework; None for one of NumPy."""
    packages = {cls.__module__.partition(".")[0] for cls in type(array).__mro__}
    for framework in FRAMEWORKS:
        if packages.intersection(framework.arrays):
            return framework.part("arrays")
    return None


def opener_of(ending: str) -> Callable[[Path], Any] | None:
    """What opens a file with this ending as data, running nothing of it; None if nothing does."""
    for framework in FRAMEWORKS:
        if ending in framework.opens:
            found: Callable[[Path], Any] = framework.part(framework.opens[ending])
            return found
    return None


def loader_of(ending: str) -> str | None:
    """How a file with this ending is loaded; None if that is not known."""
    return next((f.files[ending] for f in FRAMEWORKS if ending in f.files), None)
