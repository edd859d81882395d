"""Passes of a model over data while its layers with running statistics are measured."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import distributed

from normscope.errors import DtypeError, SpecError
from normscope.layers.torch.exact_statistics import Found, Statistics
from normscope.progress import Progress

See = Callable[[str, torch.Tensor, torch.Tensor | None], None]
"""What is done with the input and the mask of a layer that is called."""


class _Stop(BaseException):
    """Ends a forward pass at the layer that was to be measured; no `except Exception` takes it."""


def divided_parts(model: torch.nn.Module) -> list[Any]:
    """The modules whose parameters are divided among processes (FSDP)."""
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")  # nothing is divided without it
    kinds = (fsdp.FSDPModule, fsdp.FullyShardedDataParallel) if fsdp else ()
    return [module for module in model.modules() if isinstance(module, kinds)]


class MeasuringPasses:
    """The layers of a model that are measured, and what was found.

    Args:
        layers: what measures each, by name; all have the model's own modules.
        forward: calls the model on a batch.
        group: of the processes that have parts of the data; None for this one alone.

    Attributes:
        found: the running statistics of those that were reached, by name.
        batches: how many there were, in all processes.
    """

    def __init__(
        self,
        layers: dict[str, Statistics],
        forward: Callable[[torch.nn.Module, Any], object],
        group: distributed.ProcessGroup | None,
    ) -> None:
        self.layers = layers
        self.found: dict[str, Found] = {}
        self.batches = 0
        self._forward = forward
        self._group = group
        self._stops = True  # a pass ends with what it measures
        self._called = Counter[str]()  # of this forward pass
        self._is_measured = False  # in this forward pass

    def again(self) -> MeasuringPasses:
        """To measure the layers that were reached anew."""
        layers = {name: self.layers[name] for name in self.found}
        fresh = {name: type(layer)(layer.module) for name, layer in layers.items()}
        return MeasuringPasses(fresh, self._forward, self._group)

    def joint(self, model: torch.nn.Module, loader: Iterable[Any], tell: Progress) -> None:
        """One pass: each layer is measured, and normalizes each batch by its own statistics."""
        with ExitStack() as stack:
            for layer in self.layers.values():
                stack.enter_context(layer.by_batch())
            self.batches = self._pass(model, loader, tell, "measuring", self._add)
        for name in self.layers:
            self._settle(name)

    def sequential(self, model: torch.nn.Module, loader: Iterable[Any], tell: Progress) -> None:
        """Passes up to the first layer that was not measured, which then is.

        Where processes hold parts of the parameters, each pass goes to its end, as they expect.

        Raises:
            SpecError: batches come to different layers first, or to one twice.
        """
        self._stops = not divided_parts(model)
        while len(self.found) < len(self.layers):
            what = f"measuring layer {len(self.found) + 1} of {len(self.layers)}"
            self.batches = self._pass(model, loader, tell, what, self._add_first)
            reached = self._reached()
            if len(reached) > 1:
                raise SpecError(
                    f"some batches come to {reached[0]} first, others to {reached[1]}: then none "
                    "can be measured behind the other; leave sequential=True out"
                )
            if not reached:
                return
            self._settle(reached[0])
            self.layers[reached[0]].store(self.found[reached[0]])

    def seen(self, model: torch.nn.Module, loader: Iterable[Any], tell: Progress) -> None:
        """One pass in which nothing is changed: what each layer sees where all are as they are."""
        self.batches = self._pass(model, loader, tell, "looking at what they see now", self._add)
        for name in self.layers:
            self._settle(name)

    def _add(self, name: str, x: torch.Tensor, mask: torch.Tensor | None) -> None:
        self.layers[name].add(x, mask)

    def _add_first(self, name: str, x: torch.Tensor, mask: torch.Tensor | None) -> None:
        if self._is_measured:
            return
        if name not in self.found:
            self._add(name, x, mask)
            self._is_measured = True
            if self._stops:
                raise _Stop
            return
        self._called[name] += 1
        if self._called[name] > 1:
            raise SpecError(
                f"{name} is called twice in one forward pass, so what it sees depends on its own "
                "running statistics; leave sequential=True out"
            )

    def _pass(
        self, model: torch.nn.Module, loader: Iterable[Any], tell: Progress, what: str, see: See
    ) -> int:
        """Call the model on all batches; how many there were in all processes."""
        steps = len(loader) if isinstance(loader, Sized) else 0
        number = 0
        with self._watched(see):
            for number, batch in enumerate(loader, 1):
                self._called, self._is_measured = Counter[str](), False
                with suppress(_Stop):
                    self._forward(model, batch)
                tell(what, number, steps and max(steps, number))
        return int(sum(self._from_all(torch.tensor([number]))))

    @contextmanager
    def _watched(self, see: See) -> Iterator[None]:
        """What happens inside shows each input of each layer to `see`."""

        def show(
            name: str, _: torch.nn.Module, args: tuple[Any, ...], named: dict[str, Any]
        ) -> None:
            x = args[0] if args else named.get("x", named.get("input"))
            if x is None:  # which the layer itself will refuse
                return
            if named.get("residual") is not None:  # it is added before the layer measures
                x = x.to(torch.promote_types(x.dtype, torch.float32)) + named["residual"]
            see(name, x, named.get("mask"))

        hooks = [
            layer.module.register_forward_pre_hook(partial(show, name), with_kwargs=True)
            for name, layer in self.layers.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _settle(self, name: str) -> None:
        """What all processes have found for a layer, where any of them has reached it."""
        layer = self.layers[name]
        layer.join(self._from_all(layer.sums))
        if not layer.calls:
            return
        found = layer.found()
        for what, values in (("mean", found.mean), ("variance", found.var)):
            if values is not None and not values.isfinite().all():
                raise DtypeError(
                    f"{name}: the {what} of what it sees is not finite, so the data or what the "
                    "model makes of it has NaN or infinity; all running statistics are left alone"
                )
        self.found[name] = found

    def _reached(self) -> list[str]:
        """The layers that were measured in any process, but have no statistics yet."""
        calls = torch.tensor([layer.calls for layer in self.layers.values()])
        total = torch.stack(self._from_all(calls)).sum(0).tolist()
        reached = [name for name, n in zip(self.layers, total, strict=True) if n]
        return [name for name in reached if name not in self.found]

    def _from_all(self, values: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes, in their order: each process then has the same result."""
        if self._group is None:
            return [values]
        device = next(iter(self.layers.values())).sums.device
        mine = values.to(device)
        parts = [torch.empty_like(mine) for _ in range(distributed.get_world_size(self._group))]
        distributed.all_gather(parts, mine, group=self._group)
        return [part.to(values.device) for part in parts]
