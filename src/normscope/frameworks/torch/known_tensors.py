"""`KnownTensors`: which value each tensor holds just now, and who shares its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils.weak import WeakTensorKeyDictionary

from normscope.frameworks.torch.memory import memory_of, storage_of
from normscope.graph.operators import Call, CannotTraceError, Graph, Role, Value
from normscope.graph.rules import Move, Names, Opaque


@dataclass(frozen=True)
class Geometry:
    """Where the elements of a tensor stand in its memory."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Geometry:
        """Of a tensor with strides."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))

    @property
    def end(self) -> int:
        """Behind the last element; where there is none, the offset."""
        if 0 in self.shape:
            return self.offset
        pairs = zip(self.shape, self.stride, strict=True)
        return self.offset + 1 + sum((size - 1) * stride for size, stride in pairs)

    def misses(self, other: Geometry) -> bool:
        """Whether it surely has no element in common with another."""
        return self.end <= other.offset or other.end <= self.offset

    def view(self, memory: torch.Tensor) -> torch.Tensor:
        """The elements in a memory of rank 1."""
        return memory.as_strided(self.shape, self.stride, self.offset)

    def write(self, memory: torch.Tensor, tensor: torch.Tensor) -> None:
        """Put elements into a memory; some may stand at the same place."""
        if self._overlaps:
            places = self.view(torch.arange(memory.numel(), device=memory.device))
            memory[places.reshape(-1)] = tensor.reshape(-1)
        else:
            self.view(memory).copy_(tensor)

    @property
    def _overlaps(self) -> bool:
        """Whether several elements may stand at one place."""
        reach = 0
        for stride, size in sorted(zip(self.stride, self.shape, strict=True)):
            if size > 1:
                if stride <= reach:
                    return True
                reach += (size - 1) * stride
        return False


class KnownTensors:
    """The value of each tensor that a program has shown so far.

    Attributes:
        graph: in which the values are.
        unwritten: the memories that nothing is ever written to.
    """

    def __init__(self, graph: Graph, unwritten: frozenset[int | None] = frozenset()) -> None:
        self.graph = graph
        self.unwritten = unwritten
        self._values: Any = WeakTensorKeyDictionary()  # tensor -> value, key of its memory
        self._in_memory: dict[int, list[Any]] = {}
        # memories are kept, so that no other one gets the same key
        self._written: dict[int, Any] = {}  # those that hold what depends on an input
        self._exposed: dict[int, Any] = {}

    def hold(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """The tensors that the model holds, by their paths."""
        for name, tensor in tensors.items():
            if tensor not in self._values:
                self.bind(tensor, self._constant(tensor, name))

    def get(self, tensor: torch.Tensor) -> Value | None:
        """The value that a tensor holds; None if it has not been seen."""
        value, memory = self._values.get(tensor, (None, None))
        return value if value is not None and memory == memory_of(tensor) else None

    def value(self, tensor: torch.Tensor, call: Call) -> Value:
        """The value that a tensor holds; one never seen is a constant, if it can be."""
        tensor = unwrapped(tensor)
        value = self.get(tensor)
        if value is None:
            value = self._unseen(tensor, call)
            self.bind(tensor, value)
        elif not value.live and self._exposed and self.is_exposed(tensor):
            value = self._constant(tensor, value.name)  # it may have been written to since
            self.bind(tensor, value)
        return value

    def expose(self, tensor: torch.Tensor) -> None:
        """From now on the program may read and write the memory of a tensor without an operator."""
        memory = memory_of(tensor)
        if memory is not None:
            self._exposed[memory] = storage_of(tensor)

    def is_exposed(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of a tensor is shared with more than tensors, as with NumPy."""
        return memory_of(tensor) in self._exposed

    def bind(self, tensor: torch.Tensor, value: Value) -> None:
        """From now on, the tensor holds this value."""
        memory = memory_of(tensor)
        if memory is not None and self.get(tensor) is None:
            self._in_memory.setdefault(memory, []).append(weakref.ref(tensor))
        self._values[tensor] = value, memory

    def _unseen(self, tensor: torch.Tensor, call: Call) -> Value:
        """A constant; what may hold something of an input may depend on all inputs."""
        sharing = (self._values[t][0] for t in self._sharing(tensor))
        may_be_live = isinstance(tensor, FakeTensor) or has_own_operators(tensor)
        if not (may_be_live or memory_of(tensor) in self._written or any(v.live for v in sharing)):
            if memory_of(tensor) is not None and not storage_of(tensor).resizable():
                self.expose(tensor)  # it is NumPy's
            return self._constant(tensor, "")
        rule = Opaque("it is not known how this tensor was made")
        inputs, result = self.graph.inputs, form_of(tensor)
        return self.graph.add("unseen", Role.OTHER, rule, inputs, [result], None, call).results[0]

    def _constant(self, tensor: torch.Tensor, name: str) -> Value:
        if memory_of(tensor) in self.unwritten:
            shown = tensor.detach()
            return self.graph.constant(*form_of(tensor), lambda: shown, name)
        return self.graph.constant(*form_of(tensor), snapshot(tensor), name)

    def restrided(
        self, tensor: torch.Tensor, result: torch.Tensor, call: Call, source: str
    ) -> None:
        """After `as_strided`, which reads the memory of a tensor, and not the tensor alone."""
        tensors = [tensor, *(t for t in self._sharing(tensor) if t.dtype == tensor.dtype)]
        values = [self._values[t][0] for t in tensors]
        target = Geometry.of(result)
        places = [Geometry.of(t) for t in tensors]
        read = reading(places, target)
        form = form_of(result)
        covered = torch.ones(1, dtype=torch.bool).expand
        if result.numel() and not read([covered(place.shape) for place in places]).all():
            why = "memory is read of which it is not known who wrote it"
            live = [*dict.fromkeys([*values, *self.graph.inputs])]
            node = self.graph.add(
                "as_strided",
                Role.MOVE,
                Opaque(why),
                live,
                [form],
                None,
                call,
                source=source,
            )
        else:
            node = self.graph.add(
                "as_strided",
                Role.MOVE,
                Move(tuple(range(len(values))), lambda n: [named(read, n)]),
                values,
                [form],
                lambda arrays: [read(arrays)],
                call,
                source=source,
            )
        self.bind(result, node.results[0])

    # --- memory ---------------------------------------------------------------------------------

    def written(self, tensor: torch.Tensor, call: Call, source: str) -> None:
        """After a write into a tensor, whose new value is bound: all others in its memory."""
        new = self._values[tensor][0]
        memory = memory_of(tensor)
        if memory is None:
            return
        if new.live and not isinstance(tensor, FakeTensor):
            self._written[memory] = storage_of(tensor)
        for other in self._sharing(tensor):
            value = self._after(other, tensor, new, call, source)
            self._values[other] = value, memory

    def _sharing(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The other tensors seen in the same memory, as far as they are still there."""
        memory = memory_of(tensor)
        if memory is None:
            return []
        seen = [t for t in (ref() for ref in self._in_memory.get(memory, ())) if t is not None]
        seen = [t for t in seen if t in self._values and memory_of(t) == memory]
        if memory in self._in_memory:
            self._in_memory[memory] = [weakref.ref(t) for t in seen]
        return [t for t in seen if t is not tensor]

    def _after(
        self, other: torch.Tensor, tensor: torch.Tensor, new: Value, call: Call, source: str
    ) -> Value:
        """The value of another tensor after a write into one that shares its memory."""
        old: Value = self._values[other][0]
        result = (old.shape, old.dtype)
        if other.dtype != tensor.dtype or other.is_conj() != tensor.is_conj():
            rule = Opaque("memory is read as another type of number than was written")
            node = self.graph.add(
                "view", Role.OTHER, rule, [old, new], [result], None, call, source=source
            )
            return node.results[0]
        before, after = Geometry.of(other), Geometry.of(tensor)
        if before == after:
            return new
        if before.misses(after):
            return old
        replaced = reading((before, after), before)
        node = self.graph.add(
            "write into shared memory",
            Role.MOVE,
            Move((0, 1), lambda names: [named(replaced, names)]),
            [old, new],
            [result],
            lambda arrays: [replaced(arrays)],
            call,
            source=source,
        )
        return node.results[0]


def reading(
    places: Sequence[Geometry], target: Geometry
) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
    """Reads a memory into which tensors are written, one after the other."""
    size = max(place.end for place in (*places, target))

    def read(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        memory = torch.zeros(size, dtype=tensors[0].dtype, device=tensors[0].device)
        for place, tensor in zip(places, tensors, strict=True):
            place.write(memory, tensor)
        return target.view(memory).clone()

    return read


def named(read: Callable[[Sequence[torch.Tensor]], torch.Tensor], names: Any) -> Names:
    """The same with names of elements."""
    result: Names = read([torch.from_numpy(np.array(array)) for array in names]).numpy()
    return result


def snapshot(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Gives a tensor as it is now; it is copied only once it is written to."""
    with torch.no_grad(), torch._C._DisableTorchDispatch():  # it is not the program that copies
        copy = tensor.detach()
        try:
            copy = torch._lazy_clone(copy) if copy.numel() else copy.clone()
        except RuntimeError:  # its memory is not PyTorch's own, or it has no strides
            copy = copy.clone()
    return lambda: copy


def form_of(tensor: torch.Tensor) -> tuple[tuple[int, ...], str]:
    """The shape, and the dtype as NumPy or `ml_dtypes` calls it.

    Raises:
        CannotTraceError: a nested tensor has no shape.
    """
    if tensor.is_nested:
        raise CannotTraceError(
            "the model makes nested tensors, whose rows have lengths of their own, and of which "
            "operators tell no axes; give it padded tensors and a mask"
        )
    return tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")


def has_own_operators(tensor: torch.Tensor) -> bool:
    """Whether this is a kind of tensor that does something else than PyTorch with operators."""
    usual = (torch._C._disabled_torch_dispatch_impl, FakeTensor.__torch_dispatch__)
    return type(tensor).__torch_dispatch__ not in usual


def unwrapped(tensor: torch.Tensor) -> torch.Tensor:
    """What vmap and the transformations of torch.func compute with."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor
