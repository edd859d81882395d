"""`TensorCopies`: copies in the place of tensors, so that the tensors are never written to.

Writing into a tensor and writing its old values back is not undone for autograd, which counts the
writes: `backward()` refuses what was changed since the forward pass. So the objects that hold
tensors hold copies for as long as they are examined. The tensors themselves keep their values,
gradients, hooks and counts; whoever else refers to them, as an optimizer, sees nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch

from normscope.frameworks.torch.memory import memory_of


class TensorCopies:
    """Copies for the tensors in the attributes of objects, also in lists, tuples and dicts there.

    Tensors that share memory have copies that do, and one held twice has one copy. `names` are
    further holders: anything with `items` and items that can be set.

    >>> module = torch.nn.Linear(2, 2)
    >>> found = module.weight
    >>> copies = TensorCopies([module])
    >>> copies.install()
    >>> module.weight is found, torch.equal(module.weight, found)
    (False, True)
    >>> copies.give_back()
    >>> module.weight is found
    True
    """

    def __init__(self, owners: list[Any], names: Sequence[Any] = ()) -> None:
        self._found: list[tuple[Any, Any, Any]] = []
        for bound in names:
            self._walk(bound, set())
        for owner in owners:
            self._walk(vars(owner), set())
            if isinstance(owner, torch.jit.ScriptModule):
                for container in (owner._parameters, owner._buffers):
                    self._found += [(container, name, held) for name, held in container.items()]
        self._own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._placed: list[tuple[Any, Any, Any]] = []
        self._with_parameters = False

    def _walk(self, container: Any, known: set[int]) -> None:
        if id(container) in known:
            return
        known.add(id(container))
        for key, held in list(_items(container)):
            if _is_tensor(held) or (isinstance(held, tuple) and _holds_tensors(held)):
                self._found.append((container, key, held))
            elif isinstance(held, list | dict):
                self._walk(held, known)

    def install(self, *, parameters: bool = True) -> None:
        """Hold copies instead, with the values as found; of parameters too, or of all else."""
        if parameters > self._with_parameters or not self._placed:
            left = () if parameters else {id(parameter) for parameter in self.parameters}
            found = [f for f in self._found if id(f[2]) not in left]
            self._placed = [(c, key, self._copied(held)) for c, key, held in found]
            self._with_parameters = parameters
        for container, key, copy in self._placed:
            _put(container, key, copy)
        with torch.no_grad():
            for tensor, copy in self._own.values():
                _write(copy, tensor)

    def give_back(self) -> None:
        """Hold the tensors themselves again."""
        for container, key, held in self._found:
            _put(container, key, held)

    @cached_property
    def parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """The parameters that share memory with nothing else that is held."""
        held = {id(h): h for _, _, h in self._found if isinstance(h, torch.nn.Parameter)}
        others = [t for _, _, h in self._found if id(h) not in held for t in _tensors_in(h)]
        shared = {memory_of(tensor) for tensor in others}
        return tuple(h for h in held.values() if memory_of(h) not in shared)

    def _copied(self, held: Any) -> Any:
        if isinstance(held, tuple):
            parts = [self._copied(part) for part in held]
            return type(held)(*parts) if hasattr(held, "_fields") else type(held)(parts)
        if not _is_tensor(held):
            return held
        if id(held) not in self._own:
            self._own[id(held)] = held, self._copy(held)
        return self._own[id(held)][1]

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        raw = self._in_own_memory(tensor)
        if type(tensor) is torch.nn.Parameter:
            raw = torch.nn.Parameter(raw, requires_grad=tensor.requires_grad)
        elif isinstance(tensor, torch.nn.Parameter):
            raw = raw.as_subclass(type(tensor))
        if tensor.is_leaf and tensor.requires_grad != raw.requires_grad:
            raw.requires_grad_(tensor.requires_grad)
        vars(raw).update(vars(tensor))
        return raw

    def _in_own_memory(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same numbers in other memory, laid out alike."""
        plain = tensor.layout is torch.strided and not (tensor.is_conj() or tensor.is_neg())
        if not plain or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            return tensor.detach().clone()
        if 0 in tensor.stride():  # an expanded tensor cannot be written to
            return tensor.detach().clone(memory_format=torch.contiguous_format)
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        if not address or tensor.is_quantized:
            return tensor.detach().clone()
        if address not in self._storages:
            self._storages[address] = storage.clone()  # type: ignore[no-untyped-call]
        empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        own = self._storages[address]
        return empty.set_(own, tensor.storage_offset(), tensor.size(), tensor.stride())


def modules_in(module: torch.nn.Module) -> list[torch.nn.Module]:
    """All modules inside, also those that stand in a plain attribute, list, tuple or dict."""
    found: dict[int, torch.nn.Module] = {}
    waiting = [module]
    while waiting:
        part = waiting.pop()
        if id(part) in found:
            continue
        found[id(part)] = part
        waiting += [*part.children(), *_modules_held(vars(part), set())]
    return list(found.values())


def _modules_held(container: Any, known: set[int]) -> Iterator[torch.nn.Module]:
    if id(container) in known:
        return
    known.add(id(container))
    for _, held in list(_items(container)):
        if isinstance(held, torch.nn.Module):
            yield held
        elif isinstance(held, list | tuple | dict):
            yield from _modules_held(held, known)


def _is_tensor(held: Any) -> bool:
    """Whether this is a tensor that has values; one of a lazy module has none yet."""
    lazy = torch.nn.parameter.is_lazy
    return isinstance(held, torch.Tensor) and not lazy(held) and held.device.type != "meta"


def _holds_tensors(held: tuple[Any, ...]) -> bool:
    return any(
        _is_tensor(part) or (isinstance(part, tuple) and _holds_tensors(part)) for part in held
    )


def _tensors_in(held: Any) -> Iterator[torch.Tensor]:
    if isinstance(held, tuple):
        for part in held:
            yield from _tensors_in(part)
    elif _is_tensor(held):
        yield held


def _items(container: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(container, list | tuple):
        yield from enumerate(container)
    else:
        yield from container.items()


def _put(container: Any, key: Any, value: Any) -> None:
    """Set an item as it is, past what a subclass of list or dict makes of it."""
    put: Callable[[Any, Any, Any], None] = type(container).__setitem__
    if isinstance(container, dict):
        put = dict.__setitem__
    elif isinstance(container, list):
        put = list.__setitem__
    if not isinstance(container, list) or key < len(container):
        put(container, key, value)


def _write(copy: torch.Tensor, tensor: torch.Tensor) -> None:
    """Give a copy the values and the gradient of its tensor."""
    if copy.shape != tensor.shape or copy.dtype != tensor.dtype:
        copy.data = tensor.detach().clone()
    elif not _equal(copy, tensor):
        copy.copy_(tensor)
    if not tensor.is_leaf:
        return
    if tensor.grad is None:
        copy.grad = None
    elif copy.grad is None or not _equal(copy.grad, tensor.grad):
        copy.grad = tensor.grad.detach().clone()


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.layout is not torch.strided or a.is_quantized:
        return False
    return torch.equal(a, b)
