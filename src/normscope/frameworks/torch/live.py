"""`torch.nn.Module`: parameters, buffers, plain tensor attributes, the mode of each submodule."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from normscope.errors import NormscopeError
from normscope.frameworks.attributes import Attributes
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.layer_class import class_title
from normscope.frameworks.live import FirstCall, Live
from normscope.frameworks.randomness import Randomness
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.torch.arrays import as_tensor, to_numpy
from normscope.frameworks.torch.decay import decays
from normscope.frameworks.torch.example import example
from normscope.frameworks.torch.hooks import hooked
from normscope.frameworks.torch.state import TorchState
from normscope.frameworks.torch.tensor_copies import modules_in
from normscope.frameworks.torch.wrapped import alone, is_synchronized, unwrapped
from normscope.frameworks.trees import Array
from normscope.graph.operators import CannotTraceError, Graph, OutOfSightError


class TorchLive(Live):
    """A module of PyTorch; of a lazy one, a copy that a first call has given its shapes."""

    def __init__(self, module: torch.nn.Module, first: FirstCall) -> None:
        module, notes = unwrapped(module)
        super().__init__(class_title(module), type(module).__name__, module.forward)
        self.notes += notes
        if any(is_synchronized(part) for part in module.modules()):
            self.notes.append("statistics that processes share were taken of this process alone")
        self.modes = (True, False)
        self.module = module
        self._find_dtype()
        if any(torch.nn.parameter.is_lazy(p) for p in [*module.parameters(), *module.buffers()]):
            self._give_shapes(first)
            self._find_dtype()
        self.learned = frozenset(name for name, _ in self.module.named_parameters())
        self._attributes: Attributes | None = None
        self._remembers = False
        self._loose: set[str] = set()
        self._state = TorchState(self.module, followed=True)
        self._followed = False
        self.remember(self._state)

    def _give_shapes(self, first: FirstCall) -> None:
        """A first call fixes the shapes of a lazy module for good, so a copy is examined."""
        self.module = _copied(self.module)
        self.function = self.module.forward
        arguments, named = first(self)
        try:
            with Randomness().kept(), torch.no_grad(), alone(self.module):
                self.module(*arguments, **named)
            self.title = class_title(self.module)  # it is another class now
        except NormscopeError:
            raise
        except Exception as error:  # a module may refuse its input by any exception
            self.problem = error

    def _find_dtype(self) -> None:
        self.tensors = _named_tensors(self.module)
        every = [*self.module.parameters(), *self.tensors.values()]  # a lazy one has a dtype too
        floating = [t for t in every if t.is_floating_point()]
        self._fixed_dtype = bool(floating)
        self.device = floating[0].device if floating else torch.device("cpu")
        self._compute_in(floating[0].dtype if floating else torch.float32)

    def _compute_in(self, dtype: torch.dtype) -> None:
        self.torch_dtype = dtype
        self.dtype = np.dtype(np.float64 if dtype == torch.float64 else np.float32)
        self.eps = float(torch.finfo(dtype).eps)

    def use_dtype(self, dtype: np.dtype[Any]) -> None:
        """Compute in this dtype, unless the module's own tensors fix another."""
        if not self._fixed_dtype:
            self._compute_in(torch.from_numpy(np.zeros(0, dtype)).dtype)

    # --- arguments in, arrays out ---------------------------------------------------------------

    def leaf(self, original: Any, value: Array) -> Any:
        """New values; what is no tensor becomes one, of the module's own dtype and device."""
        if isinstance(original, torch.Tensor):
            return super().leaf(original, value)
        return (
            self.tensor(value) if value.dtype.kind == "f" else torch.tensor(value).to(self.device)
        )

    def tensor(self, x: Array) -> torch.Tensor:
        """Numbers in the module's own dtype and on its device; a copy."""
        return torch.tensor(x, dtype=self.torch_dtype, device=self.device)

    def fixed(self, value: Any) -> Any:
        """A fresh tensor, since a module may work in place."""
        return as_tensor(value)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if self.problem is not None:
            raise self.problem
        if not self._followed:
            self._copy_parameters()
        self.module.train(training)
        with alone(self.module):
            return self.module(*arguments, **named)

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Within, no gradients are recorded."""
        return torch.no_grad()

    # --- arrays by name -------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: to_numpy(t) for name, t in _named_tensors(self.module).items()}

    def decays(self, optimizer: Any) -> Mapping[str, float] | None:
        """The weight decay of each parameter; a module holds no optimizer itself."""
        return decays(self.module, optimizer)

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self._copy_parameters()
        tensor = torch.from_numpy(np.array(value))
        own = self.tensors[name]
        if _named_tensors(self.module).get(name) is not own:  # a call has put another in its place
            self._hold(name, own)
        with torch.no_grad():
            if own.shape != tensor.shape:  # a call may give an array another shape
                own.data = torch.empty(tensor.shape, dtype=own.dtype, device=own.device)
            own.copy_(tensor)

    def _copy_parameters(self) -> None:
        """What may be written to is a copy from here on."""
        if self._state.copy_parameters():
            self.tensors = _named_tensors(self.module)
            self._attributes = Attributes(list(modules_in(self.module)))

    def _hold(self, name: str, tensor: torch.Tensor) -> None:
        """Put a tensor into the place of the one of this name."""
        path, _, attribute = name.rpartition(".")
        part = self.module.get_submodule(path)
        for container in (part._parameters, part._buffers):
            if attribute in container:
                container[attribute] = tensor  # type: ignore[assignment]
                return
        vars(part)[attribute] = tensor

    # --- as it was found ------------------------------------------------------------------------

    def put_back_attributes(self) -> None:
        """Plain attributes, and the module's own tensors where others took their place."""
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
        """Within, the module holds copies of its tensors; all else is put back at the end."""
        with super().kept():
            self.tensors = _named_tensors(self.module)
            self._attributes = Attributes(list(modules_in(self.module)))
            yield

    # --- what happens inside --------------------------------------------------------------------

    def layers(self) -> dict[str, Any]:
        """All modules inside; lists and dictionaries of modules are none that can be called."""
        containers = torch.nn.ModuleList, torch.nn.ModuleDict
        return {
            path: module
            for path, module in self.module.named_modules()
            if path and not isinstance(module, containers)
        }

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Hooks on each submodule."""
        with hooked(dict(self.module.named_modules()), recorder):
            yield

    def example(self) -> Any:
        """Inputs of the shapes that the module tells, as those of some libraries do."""
        return example(self.module, self.torch_dtype, self.device)

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operators of one call in a mode."""
        from normscope.frameworks.torch.parameters import WritesParametersError

        if self.problem is not None:
            raise CannotTraceError(f"{self.title} cannot be called: {self.problem}")
        modules = dict(self.module.named_modules())
        if isinstance(self.module, torch.jit.ScriptModule):
            raise OutOfSightError(
                "TorchScript runs out of sight of Python; give the module from which it was made"
            )
        self._followed = True
        try:
            graph = self._graph(given, training, modules)
        except WritesParametersError:
            self._copy_parameters()
            self.put_back()
            graph = self._graph(given, training, modules)
        finally:
            self._followed = False
        graph.calls[0].layer = self.module
        return graph

    def may_run_layers_again(self) -> bool:
        """Whether the program of a module names a checkpoint, which only a real step may reach.

        Models are followed without gradients, and many make checkpoints only with them.
        """
        from normscope.frameworks.torch.training_step import names_a_checkpoint

        return any(map(names_a_checkpoint, {type(part) for part in self.module.modules()}))

    def updates_in_a_step(
        self, given: Inputs, paths: Collection[str]
    ) -> dict[str, tuple[int, int]]:
        """How often a forward and a backward pass update the running statistics of layers."""
        from normscope.frameworks.torch.training_step import TrainingStep

        self._copy_parameters()
        arguments, named = given.arguments(self.leaf)
        step = TrainingStep(self.module, paths)
        return step.run(lambda: self.call(arguments, named, True))

    def _graph(self, given: Inputs, training: bool, modules: dict[str, torch.nn.Module]) -> Graph:
        from normscope.frameworks.torch.module_calls import watched
        from normscope.frameworks.torch.parameters import Parameters
        from normscope.frameworks.torch.trace import trace

        with Parameters(self._state.parameters).kept() as parameters, alone(self.module):
            return trace(
                self,
                given,
                training,
                _named_tensors(self.module),
                lambda calls: watched(modules, calls),
                self.device,
                parameters,
            )


def _copied(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module with parameters of no shape, of which most refuse `deepcopy`."""
    try:
        copied: torch.nn.Module = pickle.loads(pickle.dumps(module))
    except TypeError:  # a group of processes, for one, has no pickle
        return deepcopy(module)
    return copied


def _named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, buffers, and tensors that are neither but plain attributes."""
    found: dict[str, torch.Tensor] = dict(module.named_parameters())
    found |= dict(module.named_buffers())
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                found[f"{path}.{name}" if path else name] = value
    return {name: tensor for name, tensor in found.items() if _has_numbers(tensor)}


def _has_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor is an array of real numbers; a sparse one is none, a lazy one not yet."""
    lazy = torch.nn.parameter.is_lazy
    return not lazy(tensor) and tensor.layout is torch.strided and not tensor.is_complex()
