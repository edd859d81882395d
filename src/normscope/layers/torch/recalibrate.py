"""`recalibrate`: the running statistics of a model measured exactly, instead of moving averages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from typing import Any

import torch
from torch import distributed

from normscope.errors import SpecError
from normscope.layers.torch.exact_statistics import RUNNING, Averages, Statistics
from normscope.layers.torch.measuring_passes import MeasuringPasses, divided_parts
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_statistics import statistics_of
from normscope.notation.values import shown
from normscope.progress import Progress, progress_bar, tell_nobody
from normscope.wording import counted

PATIENCE = 1.0
"""Seconds after which a progress bar appears on a terminal."""


@dataclass(frozen=True)
class Recalibrated:
    """One layer whose running statistics were measured.

    Attributes:
        name: of the layer in the model.
        values: how many values each of its statistics was measured on: the least of them.
        mean_moved: by how much the running mean has moved at most, in standard deviations.
        var_moved: the ratio of the new to the old running variance that is farthest from 1.
    """

    name: str
    values: int
    mean_moved: float
    var_moved: float

    def __str__(self) -> str:
        return (
            f"{self.name}: measured on {counted(self.values, 'value')}; the mean moved by up to "
            f"{self.mean_moved:.3g} standard deviations, the variance by a factor of up to "
            f"{self.var_moved:.3g}"
        )


@dataclass(frozen=True)
class Recalibration:
    """What `recalibrate` has done.

    Attributes:
        layers: those with new running statistics, as `model.named_modules()` orders them.
        unreached: the names of those that no batch has reached; they are as they were.
        batches: how many batches there were, in all processes together.
        sequential: whether each layer was measured behind layers that already had theirs.
        verified: what `verify=True` found, in words.
    """

    layers: tuple[Recalibrated, ...]
    unreached: tuple[str, ...]
    batches: int
    sequential: bool
    verified: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"recalibrated {counted(len(self.layers), 'layer')} on {counted(self.batches, 'batch')}"
        ]
        lines += map(str, self.layers)
        lines += [f"{name}: reached by no batch, left as it was" for name in self.unreached]
        lines += self.verified
        return "\n  ".join(lines)


def recalibrate(
    model: torch.nn.Module,
    loader: Iterable[Any],
    *,
    sequential: bool = False,
    layers: Collection[str] | None = None,
    forward: Callable[[torch.nn.Module, Any], object] | None = None,
    synchronized: Any = None,
    verify: bool = False,
    progress: bool | None = None,
) -> Recalibration:
    """Measure all running statistics of a model anew, exactly, on the batches of a loader.

    A layer in training keeps a moving average: it remembers the last batches best, and averages
    their variances, which leaves out how far apart their means are. Here each statistic is that of
    all values of all batches together, merged from counts, means and sums of squares in float64:

        mean = (n1 * mean1 + n2 * mean2) / n
        M2 = M2_1 + M2_2 + (mean2 - mean1)**2 * n1 * n2 / n,    var = M2 / (n - ddof)

    What a layer sees depends on the layers before it. By default these normalize each batch by its
    own statistics, as in training, in one pass over the loader: the statistics are exactly those of
    what each layer saw in that pass. At inference the layers before it use their running statistics
    instead, so what a deeper layer sees there differs a little, the less the larger the batches
    are. With `sequential=True` each layer is measured behind layers that have their final running
    statistics already, so that on this data every layer's running statistics are exactly those of
    what it sees at inference. That takes one pass for each layer, each up to that layer only: about
    half as many forward passes as there are layers.

    All else in the model is in its inference mode meanwhile, so nothing is dropped out, and
    afterwards as it was: modes, parameters, gradients, other buffers. After an error the running
    statistics are, too.

    Args:
        model: with layers that have running statistics: batch norms of torch (also `SyncBatchNorm`)
            and instance norms that track them, and `normscope.layers.torch.Norm`. Of a model
            wrapped in `DistributedDataParallel` the model inside is called; one that is divided
            among processes (FSDP) needs equally many batches in each.
        loader: gives batches: a tensor, a mapping of arguments by name, or a tuple or list whose
            first item is one of these. With `sequential=True` it is iterated several times, and
            must give the same data each time, in any order.
        sequential: measure each layer behind layers that have their final statistics.
        layers: the names of the layers to measure, as in `model.named_modules()`; others keep, and
            meanwhile use, the running statistics that they have. None: all that are not frozen.
        forward: calls the model on a batch, as in `forward(model, batch)`, where the batches are
            others. It also moves them to another device if need be; by default they go to the
            device of the model's first parameter.
        synchronized: True or a process group: the processes of `torch.distributed` take different
            batches, as many as they like, and all get the statistics of all. Layers that themselves
            join the statistics of each batch, as `SyncBatchNorm`, need equally many in each.
        verify: pass over the data once more and say how far what each layer then sees at inference
            is from what it holds; ask the layers by `identify` whether they normalize by it, and,
            unless `forward` is given, the model by `scope` whether samples see each other.
        progress: whether to show a progress bar, which only a terminal can; None: after a second.

    Returns:
        The `Recalibration`, which says how far each layer's statistics moved.

    Raises:
        SpecError: no layer has running statistics, or there is no batch; `layers` names none; a
            layer does not normalize by its running statistics, as far as `verify` can tell; the
            loader can be iterated once only, and more is asked for; with `sequential=True`, a
            layer is called twice, or batches take different ways through the model.
        DtypeError: a statistic is not finite.
        ShapeError: there are too few values.

    Source:
        Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv 2105.07576, section 3; Chan, Golub
        and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances,
        Stanford STAN-CS-79-773.

    Example:
        >>> model = torch.nn.BatchNorm1d(1)
        >>> batches = [torch.tensor([[0.0], [2.0]]), torch.tensor([[10.0]] * 4)]
        >>> print(recalibrate(model, batches))
        recalibrated 1 layer on 2 batches
          the model itself: measured on 6 values; the mean moved by up to 1.63 ...
        >>> model.running_mean, model.running_var  # 1.0 and 10.0 on average
        (tensor([7.]), tensor([22.]))
    """
    if type(model) is torch.nn.parallel.DistributedDataParallel:
        model = model.module  # which alone would send the buffers of the first process at each call
    passes = MeasuringPasses(_chosen(model, layers), forward or _call, _group(synchronized))
    if (sequential or verify) and iter(loader) is loader:
        raise SpecError(
            f"{'sequential' if sequential else 'verify'}=True passes over the data several times, "
            "and this iterator gives its batches once; give the loader itself, or a list"
        )
    with _bar(progress) as tell, _inference(model):
        run = passes.sequential if sequential else passes.joint
        run(model, loader, tell)
    if not passes.found:
        raise SpecError(_nothing(passes))
    told = tuple(_store(name, passes) for name in passes.layers if name in passes.found)
    unreached = tuple(name for name in passes.layers if name not in passes.found)
    verified = _verified(model, loader, passes, forward, progress) if verify else ()
    return Recalibration(told, unreached, passes.batches, sequential, verified)


def _verified(
    model: torch.nn.Module,
    loader: Iterable[Any],
    passes: MeasuringPasses,
    forward: Callable[[torch.nn.Module, Any], object] | None,
    progress: bool | None,
) -> tuple[str, ...]:
    # what asks layers takes long to import
    from normscope.layers.torch.recalibration_check import checked

    again = passes.again()
    with _bar(progress) as tell, _inference(model):
        again.seen(model, loader, tell)
    inputs = None if forward else _input(next(iter(loader)), model)
    return checked(model, again.layers, again.found, inputs)


def layers_with_memory(model: torch.nn.Module) -> dict[str, Statistics]:
    """The layers that keep running statistics, by name, and what measures each.

    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    >>> list(layers_with_memory(model))
    ['1']
    """
    found = {}
    for name, module in model.named_modules():
        measures = _measures(module)
        if measures is not None and any(_running(module)):
            found[name] = measures(module)
    return found


def _measures(module: torch.nn.Module) -> Callable[[Any], Statistics] | None:
    if isinstance(module, Norm):
        return None if module.spec.running is None else statistics_of
    if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
        return Statistics
    if isinstance(module, torch.nn.modules.instancenorm._InstanceNorm):
        return Averages if module.track_running_stats else None
    return None


def _running(module: torch.nn.Module) -> list[bool]:
    held = [getattr(module, name) for name in RUNNING]
    if any(map(torch.nn.parameter.is_lazy, held)):
        raise SpecError(
            f"this {type(module).__name__} has not seen an input yet, so its running statistics "
            "have no shape: call the model once, or load its state"
        )
    return [isinstance(tensor, torch.Tensor) for tensor in held]


def _chosen(model: torch.nn.Module, names: Collection[str] | None) -> dict[str, Statistics]:
    """The layers to measure.

    Raises:
        SpecError: there are none, or one of the names is that of none.
    """
    known = layers_with_memory(model)
    if isinstance(names, str):
        raise SpecError(f"layers is a collection of names: write layers=[{names!r}]")
    for name in names or ():
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SpecError(f"layers: {shown(name)} is no layer with running statistics{hint}")
    chosen = {
        name: layer
        for name, layer in known.items()
        if (not layer.frozen if names is None else name in names)
    }
    if not chosen:
        why = "all of its layers with running statistics are frozen" if known else "it has none"
        raise SpecError(
            f"{type(model).__name__} has no running statistics to measure: {why}; name frozen ones "
            "in layers=[...], or leave recalibrate out"
        )
    return chosen


def _call(model: torch.nn.Module, batch: Any) -> object:
    """The model on a batch as loaders give them."""
    given = _input(batch, model)
    return model(**given) if isinstance(given, dict) else model(given)


def _input(batch: Any, model: torch.nn.Module) -> Any:
    """What of a batch goes into the model: arguments by name, or one tensor."""
    if isinstance(batch, tuple | list) and batch:
        batch = batch[0]
    if isinstance(batch, Mapping):
        _check_names(batch, model)
        return {name: _moved(value, model) for name, value in batch.items()}
    if not isinstance(batch, torch.Tensor):
        raise SpecError(
            f"a batch is a {type(batch).__name__}, not a tensor, a mapping, or a tuple that begins "
            f"with one of these; {_SAY_HOW}"
        )
    return _moved(batch, model)


_SAY_HOW = "say how the model takes it: forward=lambda model, batch: model(...)"


def _check_names(batch: Mapping[str, Any], model: torch.nn.Module) -> None:
    """A mapping whose names are those of the model's arguments.

    Raises:
        SpecError: they are not.
    """
    try:
        taken = signature(model.forward)
    except (TypeError, ValueError):  # of a scripted model nobody knows
        return
    try:
        taken.bind(**batch)
    except TypeError as error:
        names = ", ".join(map(str, batch))
        raise SpecError(
            f"a batch is a mapping of {names or 'nothing'}, which {type(model).__name__} does not "
            f"take as its arguments ({error}); {_SAY_HOW}"
        ) from None


def _moved(value: Any, model: torch.nn.Module) -> Any:
    first = next(iter([*model.parameters(), *model.buffers()]))
    return value.to(first.device) if isinstance(value, torch.Tensor) else value


@contextmanager
def _inference(model: torch.nn.Module) -> Iterator[None]:
    """The model in inference with copies of its buffers; modes and buffers come back at the end."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    held = [(module._buffers, dict(module._buffers)) for module in modules]
    copies = {id(b): b.clone() for b in model.buffers() if not torch.nn.parameter.is_lazy(b)}
    try:
        for now, found in held:
            now.update({name: copies.get(id(b), b) for name, b in found.items()})
        model.eval()
        with torch.no_grad(), _as_written():
            yield
    finally:
        for now, found in held:
            now.update(found)
        for module, training in zip(modules, modes, strict=True):
            module.training = training
        for part in divided_parts(model):  # joined for a forward pass, and perhaps left so
            if hasattr(part, "reshard"):
                part.reshard()


def _as_written() -> AbstractContextManager[object]:
    """Within, what is compiled runs as written: a compiled graph does not call hooks."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and to import it takes seconds
        return nullcontext()
    eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return eager


@contextmanager
def _bar(progress: bool | None) -> Iterator[Progress]:
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield tell_nobody
        return
    with progress_bar(0.0 if progress else PATIENCE) as tell:
        yield tell


def _nothing(passes: MeasuringPasses) -> str:
    if not passes.batches:
        return "the loader gave no batch, so there is nothing to measure"
    return (
        f"no batch has reached a layer with running statistics ({', '.join(passes.layers)}); where "
        "a scripted or traced model calls them, give the model that it was made from"
    )


def _store(name: str, passes: MeasuringPasses) -> Recalibrated:
    """Put what was found into a layer, and say what changed."""
    layer, found = passes.layers[name], passes.found[name]
    mean_moved, var_moved = layer.moved(found)
    layer.store(found)
    return Recalibrated(name or "the model itself", found.values, mean_moved, var_moved)


def _group(synchronized: object) -> distributed.ProcessGroup | None:
    """The group of processes that have parts of the data.

    Raises:
        SpecError: it is none, or there are no processes.
    """
    if synchronized is None or synchronized is False:
        return None
    if not distributed.is_available() or not distributed.is_initialized():
        raise SpecError(
            "synchronized joins processes, and torch.distributed.init_process_group was not called"
        )
    if synchronized is True:
        return distributed.group.WORLD
    if not isinstance(synchronized, distributed.ProcessGroup):
        raise SpecError(f"synchronized is True, a process group or None, not {shown(synchronized)}")
    return synchronized
