"""The normalization layers that a model of torch holds: where, and what a `Norm` needs to know.

A layer is judged by its state: whatever a `Norm` would not take over, such as a parametrization or
an observer, is a reason to leave it, and the reason is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from normscope.errors import NormscopeError
from normscope.frameworks.layer_class import class_title
from normscope.frameworks.settings import declare
from normscope.notation.spec import NormSpec
from normscope.wording import listed, qualified

_NormBase = nn.modules.batchnorm._NormBase
_InstanceNorm = nn.modules.instancenorm._InstanceNorm
LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.CrossMapLRN2d)
"""The bases of all that torch has."""

PARAMETERS = ("weight", "bias")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")

_AXES = {"InstanceNorm1d": "b c l", "InstanceNorm2d": "b c h w", "InstanceNorm3d": "b c d h w"}
"""With a fixed rank, a `Norm` tells a single sample without its batch axis from a batch."""

_CUMULATIVE = (
    "momentum=None keeps the average over all batches so far, and a Norm a moving average; give it "
    "a momentum before (layer.momentum = 0.1), and to average over a whole data set afterwards, "
    "call recalibrate(model, loader)"
)

_HARMLESS = frozenset({"reset_parameters", "reset_running_stats", "extra_repr"})
"""Methods that torch's own layers have and that a `Norm` may have otherwise."""


@dataclass(frozen=True, eq=False)
class Found:
    """A normalization layer of a model.

    Attributes:
        layer: the layer.
        paths: all its places in the model; "" is the model itself.
        title: its class, as a user writes it.
        spec: what it computes in training; None where a `Norm` cannot stand in for it.
        reason: why it cannot; "" if it can.
        notes: what its user should know about the `Norm` in its place.
        own_forward: its settings do not say what it computes; only calling it tells.
        memory_format: how its output lies in memory; None: as its input.
        then: its children, in the order in which the normalized values go through them.
    """

    layer: nn.Module
    paths: tuple[str, ...]
    title: str
    spec: NormSpec | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    own_forward: bool = False
    memory_format: torch.memory_format | None = None
    then: tuple[str, ...] = ()

    @classmethod
    def own(cls, layer: nn.Module, paths: tuple[str, ...]) -> Found:
        """A layer that only calling it tells about."""
        reason = "it has its own forward(); give inputs=, and it is asked from outside"
        return cls(layer, paths, class_title(layer), reason=reason, own_forward=True)

    @property
    def synchronized(self) -> Any:
        """As `Norm` takes it: what of `SyncBatchNorm` its spec does not say."""
        if not isinstance(self.layer, nn.SyncBatchNorm):
            return None
        return self.layer.process_group or True

    @property
    def unbatched(self) -> bool:
        """As `Norm` takes it: whether an input may be one sample without its batch axis."""
        if self.own_forward or self.spec is None or not isinstance(self.layer, _InstanceNorm):
            return False
        axes: int = self.layer._get_no_batch_dim()  # type: ignore[no-untyped-call]
        return axes == len(self.spec.parsed.items) - 1


def layers_of(
    model: nn.Module, *, others: Collection[nn.Module] = (), memory: bool = True
) -> list[Found]:
    """All normalization layers of torch in a model, in its order, with what is to be done.

    Args:
        model: any module.
        others: further layers of it, that normalize by a forward of their own.
        memory: whether their running statistics count, or are to be forgotten.

    >>> shared = nn.LayerNorm(8)
    >>> [one] = layers_of(nn.Sequential(shared, nn.Linear(8, 8), shared))
    >>> one.paths, str(one.spec)
    (('0', '2'), '"... [c]" with c=8, eps=1e-05, scale and bias along c')
    """
    places: dict[int, list[str]] = {}
    layers: dict[int, nn.Module] = {}
    for path, layer in places_in(model):
        if is_of_torch(layer) or layer in others:
            layers[id(layer)] = layer
            places.setdefault(id(layer), []).append(path)
    aliases = _aliases(model, layers)
    return [
        _judged(layer, tuple(places[id(layer)]), aliases.get(id(layer), ""), memory)
        for layer in model.modules()
        if id(layer) in layers
    ]


def places_in(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module by every parent that holds it; a parent is named by its own first path."""
    yield "", model
    for path, parent in model.named_modules():
        for name, child in vars(parent)["_modules"].items():  # each place, unlike named_children
            if child is not None:
                yield f"{path}.{name}" if path else name, child


def _aliases(model: nn.Module, layers: dict[int, nn.Module]) -> dict[int, str]:
    """Layers that a plain attribute holds too, where they would stay: by id, the attribute."""
    found: dict[int, str] = {}
    for path, parent in model.named_modules():
        for name, value in vars(parent).items():
            if name not in _OF_MODULES:
                for item in _items(value):
                    if id(item) in layers:
                        found[id(item)] = f"{path}.{name}" if path else name
    return found


def _items(value: object, depth: int = 3) -> Iterator[object]:
    """A module, or the modules in plain containers, which may hold containers, and in methods."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, MethodType):
        yield value.__self__
    elif depth and isinstance(value, dict | list | tuple | set):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _items(item, depth - 1)


def is_of_torch(layer: nn.Module) -> bool:
    """Whether it is one of torch's normalizations, or of a subclass."""
    return isinstance(layer, LAYERS) or _is_scripted(layer)


def _judged(layer: nn.Module, paths: tuple[str, ...], alias: str, memory: bool) -> Found:
    title = class_title(layer)
    if _is_scripted(layer):
        title = f"torch.nn.{getattr(layer, 'original_name', '')} in TorchScript"
    reason = _reason(layer)
    if not reason and alias:
        reason = f"the plain attribute {alias} holds it too and would still call it; remove that"
    if reason:
        return Found(layer, paths, title, reason=reason)
    if _has_own_forward(layer):
        return Found.own(layer, paths)
    if memory and _is_cumulative(layer):
        return Found(layer, paths, title, reason=_CUMULATIVE)
    try:
        stated = _stated(layer if memory else _without_memory(layer))
    except NormscopeError as error:
        return Found(layer, paths, title, reason=str(error))
    if memory and stated.running is None and _has_memory(layer):
        return Found(layer, paths, title, reason="it holds running statistics and never uses them")
    return Found(layer, paths, title, stated, notes=tuple(_notes(layer)))


def _is_cumulative(layer: nn.Module) -> bool:
    batch_norm = isinstance(layer, _NormBase) and not isinstance(layer, _InstanceNorm)
    return batch_norm and layer.momentum is None and _has_memory(layer)


def _without_memory(layer: nn.Module) -> nn.Module:
    """A likeness of a layer that holds no running statistics; its parameters are the layer's."""
    bare = copy(layer)
    vars(bare)["_buffers"] = dict.fromkeys(vars(layer)["_buffers"])
    return bare


def _stated(layer: nn.Module) -> NormSpec:
    names = [cls.__name__ for cls in type(layer).__mro__]
    axes = next((_AXES[name] for name in names if name in _AXES), None)
    stated = declare(layer, axes=axes).train
    if isinstance(layer, _InstanceNorm) and layer.weight is None and stated.running is None:
        return replace(stated, sizes={})  # torch does not insist on num_features then
    return stated


def _reason(layer: nn.Module) -> str:
    """Why a `Norm` would not do the same, as far as the spec does not tell; "" if it would."""
    if _is_scripted(layer):
        return "it is compiled already; give the module that was scripted"
    tensors = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    if any(is_lazy(tensor) for tensor in tensors):
        return "it has no shapes yet; call the model once before"
    if nn.utils.parametrize.is_parametrized(layer):
        names = listed(sorted(vars(layer)["_modules"]["parametrizations"].keys()))
        return f"parametrizations compute {names}; write parametrize.remove_parametrizations first"
    return of_the_state(layer) or _of_its_class(layer)


def of_the_state(layer: nn.Module) -> str:
    """What a layer holds that a `Norm` would not take over; "" if there is nothing."""
    return _of_the_object(layer) or _of_its_tensors(layer)


def _of_the_object(layer: nn.Module) -> str:
    """What its user, or a library, has done to this one layer."""
    if "forward" in vars(layer):
        return "its forward was replaced on the object itself"
    if vars(layer).get("_compiled_call_impl") is not None:
        return "it was compiled on its own, by layer.compile()"
    children = [name for name, _ in layer.named_children()]
    if children and not _has_own_forward(layer):
        return f"it holds modules of its own: {listed(children)}"
    return ""


def _of_its_tensors(layer: nn.Module) -> str:
    parameters, buffers = vars(layer)["_parameters"], vars(layer)["_buffers"]
    others = sorted({*parameters} - {*PARAMETERS}) + sorted({*buffers} - {*BUFFERS})
    if others:
        return f"it holds {listed(others)}, which torch's own layer does not"
    for name in PARAMETERS:
        if name not in parameters and getattr(layer, name, None) is not None:
            return f"its {name} is no parameter but a plain attribute"
    for name, tensor in {**parameters, **buffers}.items():
        if tensor is not None and type(tensor) not in (torch.Tensor, nn.Parameter, nn.Buffer):
            return f"its {name} is a {qualified(type(tensor).__qualname__)}, not a plain tensor"
    if isinstance(layer, _NormBase) and _has_memory(layer) and layer.num_batches_tracked is None:
        return "it does not count its batches: num_batches_tracked is None"
    return ""


def _has_memory(layer: nn.Module) -> bool:
    return getattr(layer, "running_mean", None) is not None


def _of_its_class(layer: nn.Module) -> str:
    """What a subclass adds; that it has its own forward, the settings tell."""
    cls = type(layer)
    if cls.__module__.startswith("torch.nn.modules."):
        return ""
    for each in cls.__mro__:
        if each.__module__.startswith("torch.nn.modules."):
            return ""
        own = [name for name, value in vars(each).items() if _is_method(value)]
        lost = sorted(name for name in own if name not in _HARMLESS and not _is_special(name))
        if "__call__" in own or "_call_impl" in own:
            return f"{qualified(each.__qualname__)} has its own way of being called"
        if "forward" not in own and lost:
            return f"{qualified(each.__qualname__)} has methods of its own: {listed(lost)}"
    return ""


def _has_own_forward(layer: nn.Module) -> bool:
    """Whether a subclass of torch's layers computes otherwise, for all that its settings tell."""
    if not isinstance(layer, LAYERS):
        return True
    for cls in type(layer).__mro__:
        if cls.__module__.startswith("torch.nn.modules."):
            return False
        if "forward" in vars(cls):
            return True
    return False


def _is_method(value: object) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def _is_special(name: str) -> bool:
    return name.startswith("__") or name in ("_check_input_dim", "_get_no_batch_dim", "_get_name")


def _notes(layer: nn.Module) -> Iterator[str]:
    if isinstance(layer, nn.RMSNorm) and layer.eps is None:
        yield "eps=None is the machine epsilon of the dtype in torch; it is fixed now"
    if _has_memory(layer) and (isinstance(layer, _InstanceNorm) or not layer.track_running_stats):
        yield "num_batches_tracked counts now, which torch leaves as it is here"


def _is_scripted(layer: nn.Module) -> bool:
    """Whether it is one of torch's normalizations as TorchScript holds it."""
    if not isinstance(layer, torch.jit.ScriptModule):
        return False
    home = getattr(nn, str(getattr(layer, "original_name", "")), None)
    return isinstance(home, type) and issubclass(home, LAYERS)


_OF_MODULES = frozenset(vars(nn.Module()))
"""The attributes that every module has."""
