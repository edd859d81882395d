"""`swap` and `unswap`: the normalization layers of a model, and a `Norm` in the place of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from normscope.errors import SpecError
from normscope.layers.torch.changes import Change, Changes
from normscope.layers.torch.found import Found, layers_of, places_in
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_then import NormThen
from normscope.layers.torch.transfer import made_again, origin_of, put, take_tensors
from normscope.notation.spec import NormSpec
from normscope.wording import qualified

_ORIGIN = "swapped_from"
"""The attribute of a `Norm` that says which layer it replaced."""


def swap(
    model: nn.Module, *, inputs: Any = None, dry_run: bool = False, verify: bool = False
) -> Changes:
    """Put a `Norm` in the place of each normalization layer of torch that computes the same.

        y = (x - m) / sqrt(v + eps) * weight + bias

    The model is changed in place. A `Norm` takes over the layer's parameters and buffers (the same
    tensors, so that optimizers and tied weights go on), its hooks, its mode and its settings, which
    stay readable (`layer.eps`); `state_dict` has the same keys. A layer with several places in the
    model gets one `Norm` for all of them. What looks for torch's classes, or writes to settings
    such as `layer.momentum`, has no effect on a `Norm`: do that before.

    A layer that would lose something is left, with the reason: one that keeps a cumulative average
    (`momentum=None`), is lazy, quantized, parametrized, pruned, scripted, compiled or sharded, or
    holds modules or methods of its own, and, unless `inputs` are given, a subclass with a forward
    of its own. Of one whose modules follow the normalization, such as the `BatchNormAct2d` of timm,
    only the normalization is replaced: the modules stay, under their names.

    Args:
        model: any module.
        inputs: what the model is called with, as for `scope`. Its operators are then followed:
            layers with a forward of their own, of any maker, are asked by `identify`, and what is
            normalized by no layer is listed.
        dry_run: print what would be done, and change nothing.
        verify: ask every new layer what it computes, by `identify`, and put nothing in its place
            unless that is the spec. With `inputs`, ask also by `scope` whether samples see each
            other as before; if not, everything is put back.

    Returns:
        The `Changes`. Its `model` is the one given, unless that is a normalization layer itself.

    Raises:
        SpecError: the model is no module, cannot be called with `inputs`, or a check failed.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        >>> swap(model)
        1 of 1 normalization layer swapped
          1: torch.nn.BatchNorm2d -> "[b] c [h w]" with c=8, eps=1e-05, scale and bias along c, \
running decay 0.9 (torch momentum 0.1) of the variance with ddof=1
        give inputs= to see what no layer normalizes
        >>> model[1].num_features
        8
    """
    check_module(model, "swap")
    found, functional = examined(model, inputs)
    stated = [one for one in found if one.spec is not None]
    changes = Changes(
        "swapped",
        model,
        tuple(Change(one.paths, one.title, str(one.spec), one.notes) for one in stated),
        tuple(left(one) for one in found if one.spec is None),
        tuple(functional),
        dry_run=dry_run,
        remarks=tuple(_remarks(model, stated, inputs)),
    )
    if dry_run:
        print(changes)
        return changes
    norms = {one.layer: _norm_for(one) for one in stated}
    return carried_out(changes, norms, verify=verify, inputs=inputs, same_scope=True)


def unswap(model: nn.Module, *, dry_run: bool = False) -> Changes:
    """Put back layers of the classes that `swap` replaced, with what each `Norm` holds now.

    Parameters, buffers, hooks and mode go back as they came: the same tensors. A `Norm` that came
    into the model in another way is left.

    Args:
        model: after `swap`; a copy, or one that was saved and loaded as a whole, will do.
        dry_run: print what would be done, and change nothing.

    Returns:
        The `Changes`.

    Raises:
        SpecError: the model is no module.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        >>> model = unswap(swap(model).model).model
        >>> model[1]
        LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    """
    check_module(model, "unswap")
    norms = norms_of(model)
    back = {norm: vars(norm)[_ORIGIN] for norm in norms if _ORIGIN in vars(norm)}
    changes = Changes(
        "swapped back",
        model,
        tuple(Change(norms[norm], _words(norm), back[norm].title, _lost(norm)) for norm in back),
        tuple(
            Change(norms[norm], _words(norm), "", ("swap did not put it there",))
            for norm in norms
            if norm not in back
        ),
        dry_run=dry_run,
    )
    if dry_run:
        print(changes)
        return changes
    return carried_out(changes, {norm: made_again(origin, norm) for norm, origin in back.items()})


def examined(
    model: nn.Module, inputs: Any, *, memory: bool = True
) -> tuple[list[Found], list[str]]:
    """The normalization layers of a model, and what is normalized by none, as far as inputs tell.

    Args:
        model: any module.
        inputs: what it is called with; None: layers with a forward of their own are not asked.
        memory: whether their running statistics count, or are to be forgotten.

    Raises:
        SpecError: the model cannot be called with them.
    """
    if inputs is None:
        return layers_of(model, memory=memory), []
    # what asks layers takes long to import
    from normscope.layers.torch.asked import asked, functional_calls, of_other_makers, seen_in

    seen = seen_in(model, inputs)
    found = asked(layers_of(model, others=of_other_makers(seen), memory=memory), seen)
    return found, functional_calls(seen, found)


def carried_out(
    changes: Changes,
    news: Mapping[nn.Module, nn.Module],
    *,
    verify: bool = False,
    inputs: Any = None,
    same_scope: bool = False,
) -> Changes:
    """Put new layers into their places, and check them if that is asked for.

    Args:
        changes: what is to be done.
        news: the new layers, by those in whose places they come.
        verify: ask the new layers before, and with `inputs` the model before and after.
        inputs: of the model.
        same_scope: whether samples must see each other just as before.

    Raises:
        SpecError: a check failed; the model is then as it was.
    """
    if not verify:
        return replace(changes, model=put(changes.model, news))
    from normscope.layers.torch.verification import checked_layers, said_of, scope_of

    lines = checked_layers(news.values())
    before = None if inputs is None else scope_of(changes.model, inputs)
    model = put(changes.model, news)
    if before is not None:
        after = scope_of(model, inputs)
        if same_scope and after != before:
            put(model, {new: old for old, new in news.items()})
            raise SpecError(
                f"samples see each other differently afterwards ({said_of(after)}) than before "
                f"({said_of(before)}), so everything was put back; please report this"
            )
        lines.append(f"by scope, before: {said_of(before)}; after: {said_of(after)}")
    return replace(changes, model=model, verified=tuple(lines))


def check_module(model: object, verb: str) -> None:
    """A module of torch.

    Raises:
        SpecError: it is another thing.
    """
    if not isinstance(model, nn.Module):
        raise SpecError(
            f"{verb} changes the layers of a torch.nn.Module, and this is of the class "
            f"{qualified(type(model).__qualname__)}"
        )


def norms_of(model: nn.Module) -> dict[Norm, tuple[str, ...]]:
    """Every `Norm` of a model, and all its places."""
    found: dict[Norm, list[str]] = {}
    for path, layer in places_in(model):
        if isinstance(layer, Norm):
            found.setdefault(layer, []).append(path)
    return {norm: tuple(paths) for norm, paths in found.items()}


def left(one: Found) -> Change:
    """A layer that is left, with the reason."""
    return Change(one.paths, one.title, "", (one.reason,))


def _remarks(model: nn.Module, stated: Sequence[Found], inputs: Any) -> Iterator[str]:
    if any(stated_of(one).running for one in stated):
        for path, module in model.named_modules():
            kind = type(module)
            if kind.train is not nn.Module.train and not kind.__module__.startswith("torch."):
                yield (
                    f"{path or 'the model itself'} has a train() of its own: where that looks for "
                    "torch's classes, as to freeze them, it passes over a Norm; set frozen=True"
                )
    if inputs is None:
        yield "give inputs= to see what no layer normalizes"


def _norm_for(one: Found) -> Norm:
    """The `Norm` that computes what a layer does, with its tensors."""
    options: dict[str, Any] = {
        "synchronized": one.synchronized,
        "memory_format": one.memory_format,
        "unbatched": one.unbatched,
        "device": "meta",
    }
    spec = stated_of(one)
    norm = new_norm(spec, one.then, **options)
    take_tensors(norm, one.layer)
    vars(norm)[_ORIGIN] = origin_of(one.layer)
    return norm


def new_norm(spec: NormSpec, then: tuple[str, ...], **options: Any) -> Norm:
    """A `Norm`, whose output goes through its children of these names."""
    return NormThen(spec, then, **options) if then else Norm(spec, **options)


def stated_of(one: Found) -> NormSpec:
    """The spec of a layer that has one."""
    assert one.spec is not None
    return one.spec


def _words(norm: Norm) -> str:
    """In one line, without what it holds."""
    return f"{type(norm).__name__}({norm.extra_repr()})"


def _lost(norm: Norm) -> tuple[str, ...]:
    return ("frozen=True is lost: torch's layers know it not",) if norm.frozen else ()
