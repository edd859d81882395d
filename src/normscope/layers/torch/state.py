"""The tensors of `Norm`: made, reset, saved and loaded as those of torch's own layers."""

from __future__ import annotations

from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from normscope.errors import DtypeError, SpecError
from normscope.layers.common.parameters import layout_of_sizes
from normscope.layers.torch.later import LaterBuffer, LaterParameter
from normscope.layers.torch.weights import BUFFERS, PARAMETERS, weight_shapes
from normscope.notation.spec import NormSpec

_MAKING = Lock()
"""Held while a tensor gets its shape."""


class NormState(torch.nn.Module):
    """A module that holds what a spec needs, under the names of torch.

    Args:
        spec: the normalization. What it does not tell the shape of gets it by `make`, or with the
            state that is loaded.
        device, dtype: of parameters and running statistics.

    Attributes:
        spec: the normalization.
        weight, bias: the parameters, or None.
        running_mean, running_var: the running statistics, or None.
        num_batches_tracked: how many batches have moved them; None where there are none.
    """

    _version = 2
    """That of torch's batch norms, whose state has `num_batches_tracked` since."""

    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        spec: NormSpec,
        *,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise DtypeError(f"dtype={dtype}: parameters are floats, such as torch.float32")
        self._prepare(spec)
        shapes = weight_shapes(spec, layout_of_sizes(spec))
        on: dict[str, Any] = {"device": device, "dtype": dtype}
        for name in (*PARAMETERS, *BUFFERS):
            tensor = self._new(name, shapes[name], on) if name in shapes else None
            register = self.register_parameter if name in PARAMETERS else self.register_buffer
            register(name, tensor)
        batches = None
        if spec.running is not None:
            batches = torch.zeros((), dtype=torch.long, device=device)
        self.register_buffer("num_batches_tracked", batches)

    @property
    def spec(self) -> NormSpec:
        """The normalization. Another may be set, with the same parameters and running statistics.

        So is changed what torch's layers have attributes for:
        `layer.spec = dataclasses.replace(layer.spec, eps=1e-3)`.
        """
        return self._spec

    @spec.setter
    def spec(self, spec: NormSpec) -> None:
        if not isinstance(spec, NormSpec) or _held(spec) != _held(self._spec):
            raise SpecError(
                f"a layer with {self._spec} can be set to a NormSpec with a pattern and the same "
                f"scale, bias and measure, running where it is: write Norm(...), not spec = {spec}"
            )
        self._prepare(spec)

    def _prepare(self, spec: NormSpec) -> None:
        """Take a spec, and forget what was prepared for another."""
        self._spec = spec
        self._sample_axes = len(spec.parsed.items) - 1  # a compiler follows no pattern
        self._fits: dict[tuple[int, ...], Any] = {}
        self._quick: dict[Any, Any] = {}

    def _new(self, name: str, shape: tuple[int, ...] | None, on: dict[str, Any]) -> Any:
        """A parameter or buffer, which has no shape yet if that is None."""
        if shape is None:
            return LaterParameter(**on) if name in PARAMETERS else LaterBuffer(**on)
        tensor = torch.full(shape, float(self._first(name)), **on)
        return torch.nn.Parameter(tensor) if name in PARAMETERS else tensor

    def make(self, name: str, shape: tuple[int, ...]) -> None:
        """Give a tensor without a shape one, and the value that it has in the beginning."""
        with _MAKING, torch.inference_mode(mode=False):  # it may be trained later
            tensor: Any = getattr(self, name)
            if is_lazy(tensor):  # or another thread was quicker
                own, value = tensor.data, float(self._first(name))
                tensor.data = torch.full(shape, value, device=own.device, dtype=own.dtype)
                # last, for from here on others use it
                tensor.__class__ = torch.nn.Parameter if name in PARAMETERS else Tensor  # type: ignore[assignment]

    def reset_running_stats(self) -> None:
        """Set the running statistics to those of no batch: mean 0, variance 1."""
        self._reset(*BUFFERS, "num_batches_tracked")

    def reset_parameters(self) -> None:
        """Make the parameters neutral, and the running statistics those of no batch."""
        self._reset(*PARAMETERS, *BUFFERS, "num_batches_tracked")

    def _reset(self, *names: str) -> None:
        for name in names:
            tensor = getattr(self, name)
            if tensor is not None and not is_lazy(tensor):
                with torch.no_grad():
                    tensor.fill_(self._first(name))

    def _first(self, name: str) -> int:
        """The value in the beginning; a weight that is added to 1 is neutral as 0."""
        if name == "weight":
            return 1 - self.spec.scale_shift
        return 1 if name == "running_var" else 0

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """As any module, but tensors without a shape go in as they are: they have no `detach`."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if tensor is not None:
                keeps = keep_vars or is_lazy(tensor)
                destination[prefix + name] = tensor if keeps else tensor.detach()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """As any module, but shapes that are not known come from the state."""
        for name in (*PARAMETERS, *BUFFERS):
            tensor, given = getattr(self, name), state_dict.get(prefix + name)
            if is_lazy(tensor) and isinstance(given, Tensor) and not is_lazy(given):
                self.make(name, tuple(given.shape))
        version = local_metadata.get("version")
        counted = self.num_batches_tracked
        if counted is not None and (version is None or version < 2):  # it was not counted yet
            own = torch.tensor(0) if counted.is_meta else counted.detach().clone()
            state_dict.setdefault(f"{prefix}num_batches_tracked", own)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


def _held(spec: NormSpec) -> tuple[object, ...]:
    """What decides which tensors a layer has."""
    return spec.pattern is None, spec.scale, spec.bias, spec.running is None, spec.measure
