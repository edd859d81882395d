"""`torch.nn.Module`: parameters, buffers, plain tensor attributes, the mode of each submodule."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.layer import Adapter, Array, class_title, first_array
from normscope.frameworks.torch.own_tensors import modules_in
from normscope.frameworks.torch.state import TorchState


class TorchAdapter(Adapter):
    """A module of PyTorch, called without gradients."""

    def __init__(
        self,
        module: torch.nn.Module,
        shape: tuple[int, ...],
        others: tuple[Any, ...],
        inputs: dict[str, Any],
        dtype: np.dtype[Any] | None,
    ) -> None:
        self.others = others
        self.inputs = inputs
        if any(torch.nn.parameter.is_lazy(p) for p in _tensors_of(module)):
            # a first call fixes its shapes for good; deepcopy refuses what has none yet
            module = pickle.loads(pickle.dumps(module))
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                module(torch.zeros(shape), *others, **inputs)
        self.module = module
        self.tensors = _named_tensors(module)
        floating = [t for t in self.tensors.values() if t.is_floating_point()]
        self.torch_dtype = floating[0].dtype if floating else torch.float32
        if dtype is not None and not floating:
            self.torch_dtype = torch.from_numpy(np.zeros(0, dtype)).dtype
        self.device = floating[0].device if floating else torch.device("cpu")
        known = np.dtype(np.float64 if self.torch_dtype == torch.float64 else np.float32)
        super().__init__(class_title(module), known, (True, False))
        self.eps = float(torch.finfo(self.torch_dtype).eps)
        self.learned = frozenset(name for name, _ in module.named_parameters())
        self._attributes: Attributes | None = None
        self._remembers = False
        self._loose: set[str] = set()

    def received(self, x: Array) -> Array:
        """`x` in the layer's own dtype."""
        return _numpy(torch.from_numpy(np.array(x)).to(self.torch_dtype))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        self.module.train(training)
        # a layer may work in place, and so must not get the caller's memory
        tensor = torch.tensor(x, dtype=self.torch_dtype, device=self.device)
        others = [_fresh(value) for value in self.others]
        inputs = {name: _fresh(value) for name, value in self.inputs.items()}
        with torch.no_grad():
            return _numpy(first_array(self.module(tensor, *others, **inputs)))

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: _numpy(t) for name, t in _named_tensors(self.module).items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        tensor = torch.from_numpy(np.array(value))
        own = self.tensors[name]
        if _named_tensors(self.module).get(name) is not own:  # a call has put another in its place
            self._hold(name, own)
        with torch.no_grad():
            if own.shape != tensor.shape:  # a call may give an array another shape
                own.data = torch.empty(tensor.shape, dtype=own.dtype, device=own.device)
            own.copy_(tensor)

    def _hold(self, name: str, tensor: torch.Tensor) -> None:
        """Put a tensor into the place of the one of this name."""
        path, _, attribute = name.rpartition(".")
        part = self.module.get_submodule(path)
        for held in (part._parameters, part._buffers):
            if attribute in held:
                held[attribute] = tensor  # type: ignore[assignment]
                return
        vars(part)[attribute] = tensor

    def put_back(self) -> None:
        """Put back plain attributes, and the module's own tensors where others took their place."""
        if self._attributes is not None:
            self._remembers |= self._attributes.changed(but=("training",))
            replaced = self._replaced()
            self._attributes.put_back()
            for name in replaced:
                self.tensors[name] = self.tensors[name].detach().clone()
                self._hold(name, self.tensors[name])
            if replaced:
                self._loose |= replaced
                self._attributes = Attributes(list(modules_in(self.module)))

    def _replaced(self) -> set[str]:
        """Tensors that calls replace: the one that is put back may share memory with no other."""
        now = _named_tensors(self.module)
        return {
            name
            for name, own in self.tensors.items()
            if name not in self._loose
            and now.get(name) is not own
            and not isinstance(own, torch.nn.Parameter)
        }

    def settle(self) -> None:
        """What the attributes are now is put back from here on, until the end."""
        self._attributes = Attributes(list(modules_in(self.module)))

    @property
    def may_remember(self) -> bool:
        """Whether a call has changed plain attributes."""
        return self._remembers

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within, the module holds copies of its tensors; modes and generators are put back."""
        generator = torch.get_rng_state()
        try:
            with TorchState(self.module).kept():
                self.tensors = _named_tensors(self.module)
                self._attributes = Attributes(list(modules_in(self.module)))
                yield
        finally:
            torch.set_rng_state(generator)


def _tensors_of(module: torch.nn.Module) -> Iterator[Any]:
    yield from module.parameters()
    yield from module.buffers()


def _named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, buffers, and tensors that are neither but plain attributes."""
    found: dict[str, torch.Tensor] = dict(module.named_parameters())
    found |= dict(module.named_buffers())
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                found[f"{path}.{name}" if path else name] = value
    strided = torch.strided  # a sparse tensor has no array
    return {n: t for n, t in found.items() if t.layout is strided and not t.is_complex()}


def _fresh(value: Any) -> Any:
    """A copy of a tensor, since a layer may work in place."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _numpy(tensor: torch.Tensor) -> Array:
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()  # exact, and NumPy has no bfloat16
    return np.array(tensor.numpy())
