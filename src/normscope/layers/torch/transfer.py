"""What one module holds, handed to another: the same tensors, hooks and mode, settings to read.

Nothing is copied, so optimizers, tied weights and the handles of hooks keep their meaning.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.module import _WrappedHook

from normscope.frameworks.layer_class import class_title

_FRESH = vars(nn.Module())
_HOOKS = tuple(name for name in _FRESH if "hook" in name)


@dataclass(frozen=True)
class Origin:
    """The layer in whose place a `Norm` is: enough to make it again.

    Attributes:
        kind: its class.
        title: the class, as a user writes it.
        settings: its own attributes.
        parameters, buffers: the names of those that it has, None among them.
    """

    kind: type[nn.Module]
    title: str
    settings: dict[str, Any]
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]


def origin_of(layer: nn.Module) -> Origin:
    """What makes a layer again, but for its tensors and hooks."""
    held = vars(layer)
    settings = {name: value for name, value in held.items() if name not in _FRESH}
    parameters, buffers = tuple(held["_parameters"]), tuple(held["_buffers"])
    return Origin(type(layer), class_title(layer), settings, parameters, buffers)


def take_tensors(new: nn.Module, old: nn.Module, *, buffers: bool = True) -> None:
    """Let `new` hold the parameters, buffers and children of `old`, and be in its mode.

    The settings of `old` stay readable under their names where `new` has none of that name:
    programs ask for `layer.eps`.

    Args:
        new, old: layers.
        buffers: whether they are taken too.
    """
    for container in ("_parameters", "_buffers") if buffers else ("_parameters",):
        for name, tensor in vars(old)[container].items():
            if tensor is not None:
                vars(new)[container][name] = tensor
    vars(new)["_non_persistent_buffers_set"] = vars(old)["_non_persistent_buffers_set"]
    for name, value in origin_of(old).settings.items():
        if not hasattr(new, name):
            vars(new)[name] = value
    _take_children(new, old)


def _take_children(new: nn.Module, old: nn.Module) -> None:
    # the dictionary itself, so that what is put into it meanwhile is in both; and children keep
    # their own mode
    vars(new)["_modules"] = vars(old)["_modules"]
    new.training = old.training


def take_hooks(new: nn.Module, old: nn.Module) -> None:
    """Let `new` have the hooks of `old`: the dictionaries themselves, which their handles know."""
    for name in _HOOKS:
        vars(new)[name] = vars(old)[name]
    for hook in [*new._state_dict_pre_hooks.values(), *new._load_state_dict_pre_hooks.values()]:
        if isinstance(hook, _WrappedHook) and hook.with_module:
            hook.module = weakref.ref(new)


def made_again(origin: Origin, norm: nn.Module) -> nn.Module:
    """The layer of an origin, with what the `Norm` in its place holds now."""
    layer: nn.Module = origin.kind.__new__(origin.kind)
    nn.Module.__init__(layer)
    held = vars(layer)
    for name in origin.parameters:
        held["_parameters"][name] = vars(norm)["_parameters"].get(name)
    for name in origin.buffers:
        held["_buffers"][name] = vars(norm)["_buffers"].get(name)
    held.update({name: vars(norm).get(name, value) for name, value in origin.settings.items()})
    held["_non_persistent_buffers_set"] = vars(norm)["_non_persistent_buffers_set"]
    _take_children(layer, norm)
    return layer


def put(model: nn.Module, news: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put modules into the places of others, with their hooks.

    Args:
        model: holds the others.
        news: by the module in whose places each comes.

    Returns:
        The model; another object only where the model itself is replaced.
    """
    for parent in list(model.modules()):
        for name, child in vars(parent)["_modules"].items():
            if child is not None and child in news:
                parent.register_module(name, news[child])
    for old, new in news.items():
        take_hooks(new, old)
    return news.get(model, model)
