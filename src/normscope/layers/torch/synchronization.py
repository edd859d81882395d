"""Statistics over the processes of `torch.distributed`: what each holds, joined by one collective.

Each process measures its part of every statistics set: (count, mean, M2), M2 being the sum of the
squared deviations from its own mean. With N, m and M2 those of the whole,

    N = sum of n_i,   m = sum of n_i m_i / N,   M2 = sum of M2_i + n_i (m_i - m)^2

and, the gradients with respect to m and M2 summed over the processes,

    dm_i = dm n_i / N + dM2 2 n_i (m_i - m),   dM2_i = dM2

so that the backward pass takes one collective too. Source: Chan, Golub, LeVeque, "Updating formulae
and a pairwise algorithm for computing sample variances", 1979.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed

from normscope.errors import SpecError
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

GATHERED_UP_TO = 8
"""So many processes send their statistics to each other: half the steps of a sum. More send sums,
whose bytes do not grow with their number."""


class Joined(NamedTuple):
    """What a statistics set holds, on one process or on all.

    A mean far from 0 has more digits than its dtype: what it lacks is in `rest`. Gradients of the
    mean go through `rest`; `near` and `number` are constants.

    Attributes:
        near, rest: their sum is the mean.
        squares: M2, the sum of the squared deviations from the mean.
        number: how many values there are: of each set, or one number for all sets.
    """

    near: Tensor
    rest: Tensor
    squares: Tensor
    number: Tensor


@dataclass(frozen=True)
class Processes:
    """Those that hold parts of the same statistics sets.

    Every one of them must call what is here, in the same order, with tensors of the same shapes and
    dtypes, also when it holds no value at all; and run the backward pass if one of them does.

    Attributes:
        group: of `torch.distributed`; None is the default one.
        traced: whether the collectives are operators that a compiler can take into its graph.
    """

    group: distributed.ProcessGroup | None = None
    traced: bool = False

    def __call__(self, tensor: Tensor) -> Tensor:
        """The sum over the processes; its gradient is the sum of their gradients."""
        total: Tensor = _Sum.apply(tensor, self)  # type: ignore[no-untyped-call]
        return total

    def join(self, own: Joined) -> Joined:
        """The statistics of the joined batch, by one collective, and one in the backward pass."""
        return Joined(*_Join.apply(*own, self))  # type: ignore[no-untyped-call]

    def joined(
        self, count: Tensor, mean: Tensor, squares: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`join` without gradients: count, mean and M2 of the whole, in float64.

        Args:
            count, mean, squares: of this process.
            dtype: of its statistics.
        """
        few = self.world_size <= GATHERED_UP_TO
        # Sums of squares about 0 have digits to spare in float64, unless the values have as many.
        if few or dtype == torch.float64:
            return self._by_gathering(count, mean, squares)
        return self._by_summing(count, mean, squares)

    def _by_gathering(
        self, count: Tensor, mean: Tensor, squares: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        received = self._gathered(_packed(count, mean, squares))
        one_for_all = count.reshape(count.shape or (1,) * mean.dim())
        counts, means, m2 = _unpacked(received, one_for_all, mean, squares)
        whole = counts.sum(0)
        mean = (counts * means).sum(0) / whole.clamp(min=1)
        return whole.view(count.shape), mean, (m2 + counts * (means - mean).square()).sum(0)

    def _by_summing(
        self, count: Tensor, mean: Tensor, squares: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        sums = count.double() * mean
        packed = self.summed(_packed(count, sums, squares + sums * mean))
        whole, sums, about_zero = _unpacked(packed, count, sums, squares)
        mean = sums / whole.clamp(min=1)
        return whole, mean, (about_zero - sums * mean).clamp(min=0)

    def join_sums(self, sums: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over the values of each set, and how many these are, by one collective."""
        total = self(_packed(count, sums))
        count, sums = _unpacked(total, count, sums)
        return sums, count.detach()

    @property
    def world_size(self) -> int:
        """How many they are."""
        return distributed.get_world_size(self.group)

    # --- the collectives --------------------------------------------------------------------------

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, without a gradient."""
        if self.traced:
            return _arrived(_operators().all_reduce(tensor.contiguous(), "sum", self._name))
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=self.group)
        return total

    def _gathered(self, packed: Tensor) -> Tensor:
        """The rows of all processes, which have one length, in the order of the processes."""
        if self.traced:
            number = self.world_size
            rows = _operators().all_gather_into_tensor(packed, number, self._name)
            return _arrived(rows).view(number, packed.numel())
        received = packed.new_empty(self.world_size, packed.numel())
        distributed.all_gather(list(received.unbind()), packed, self.group)
        return received

    @property
    def _name(self) -> str:
        return name_of(self.group or distributed.group.WORLD)


def processes_of(
    synchronized: bool | distributed.ProcessGroup | None,
    spec: NormSpec,
    layout: Layout,
    *,
    traced: bool = False,
) -> Processes | None:
    """The processes over which the statistics sets of an input reach; None if it is this one alone.

    Processes divide the first axis of a batch among themselves, into parts of any length. So sets
    within one sample are whole in each process, and nothing is sent for them.

    Args:
        synchronized: None or False: each process for itself. True: the default group, or nobody
            else where `torch.distributed` was not initialized. Or a process group.
        spec: the normalization.
        layout: that of the part in this process.
        traced: whether a compiler takes what is done into a graph.

    Raises:
        SpecError: the first axis is partly inside and partly outside brackets, or the measure is
            `max`.

    Example:
        >>> from normscope import spec
        >>> stated = spec("[b] c")
        >>> print(processes_of(True, stated, stated.layout((8, 3))))
        None
    """
    group = _group(synchronized)
    if group is None:
        return None
    first = {axis.shared for axis in layout.parts(0)} if layout.shape else set()
    if len(first) > 1:
        raise SpecError(
            f'synchronized with "{spec.pattern}": the first axis, which processes divide among '
            "themselves, is partly inside and partly outside brackets"
        )
    if True not in first:
        return None
    if spec.measure is Measure.MAX:
        raise SpecError("synchronized with measure=max: a maximum over processes has no gradient")
    processes = Processes(group, traced)
    return processes if processes.world_size > 1 else None


def checked(synchronized: object) -> bool | distributed.ProcessGroup | None:
    """The argument `synchronized`, if it is one.

    Raises:
        SpecError: it is not, or it is a group without this process.

    Example:
        >>> checked(8)
        Traceback (most recent call last):
        normscope.errors.SpecError: synchronized is None, True or a process group, not 8
          write synchronized=True for all processes, or synchronized=mesh.get_group()
    """
    if synchronized is None or isinstance(synchronized, bool):
        return synchronized
    if distributed.is_available():
        if isinstance(synchronized, distributed.ProcessGroup):
            return synchronized
        if synchronized == distributed.GroupMember.NON_GROUP_MEMBER:
            raise SpecError("synchronized: this process is not in the process group")
    raise SpecError(
        f"synchronized is None, True or a process group, not {synchronized!r}\n"
        "  write synchronized=True for all processes, or synchronized=mesh.get_group()"
    )


def _group(synchronized: bool | distributed.ProcessGroup | None) -> Any:
    """The process group, if there is one to speak of."""
    if synchronized is None or synchronized is False:
        return None
    if synchronized is not True:
        return synchronized
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed.group.WORLD


# --- gradients ------------------------------------------------------------------------------------


class _Sum(torch.autograd.Function):
    """The sum over processes, differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.summed(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Sum.apply(gradient, ctx.processes), None  # type: ignore[no-untyped-call]


class _Join(torch.autograd.Function):
    """Joined statistics. All that `backward` does is differentiable again."""

    @staticmethod
    def forward(
        ctx: Any,
        near: Tensor,
        rest: Tensor,
        squares: Tensor,
        count: Tensor,
        processes: Processes,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean = near.double() + rest
        total = processes.joined(count, mean, squares, squares.dtype)
        whole = _in_two(*total, squares.dtype)
        ctx.processes = processes
        ctx.save_for_backward(near, rest, count, *whole)
        ctx.mark_non_differentiable(whole.near, whole.number)
        return tuple(whole)  # type: ignore[return-value]

    @staticmethod
    def backward(
        ctx: Any, _near: Tensor, of_rest: Tensor, of_squares: Tensor, _count: Tensor
    ) -> tuple[Tensor | None, ...]:
        near, rest, count, whole_near, whole_rest, _, whole_count = ctx.saved_tensors
        summed = ctx.processes(torch.stack((of_rest, of_squares)))
        of_mean, of_squares = summed.unbind()
        apart = (near - whole_near) + (rest - whole_rest)
        share = count / whole_count.clamp(min=1)
        return None, of_mean * share + of_squares * (2 * count * apart), of_squares, None, None


def _in_two(count: Tensor, mean: Tensor, squares: Tensor, dtype: torch.dtype) -> Joined:
    """Joined statistics in the dtype of the sets, the mean in two parts."""
    near = mean.to(dtype)
    return Joined(near, (mean - near).to(dtype), squares.to(dtype), count.to(dtype))


# --- numbers that are sent ------------------------------------------------------------------------


def _packed(*tensors: Tensor) -> Tensor:
    """All numbers in one tensor; float64 holds counts of any size."""
    return torch.cat([tensor.flatten().double() for tensor in tensors])


def _unpacked(packed: Tensor, *like: Tensor) -> tuple[Tensor, ...]:
    """The opposite, in the dtype of `packed`; axes before its last one stay in front."""
    parts = torch.split(packed, [tensor.numel() for tensor in like], dim=-1)
    front = packed.shape[:-1]
    return tuple(part.view(front + tensor.shape) for part, tensor in zip(parts, like, strict=True))


# --- collectives in a graph -----------------------------------------------------------------------


def name_of(group: Any) -> str:
    """The name by which operators in a graph know a process group."""
    return str(group.group_name)


def named(name: str) -> distributed.ProcessGroup:
    """The process group of a name."""
    resolve: Any = torch._C._distributed_c10d._resolve_process_group
    group: distributed.ProcessGroup = resolve(name)
    return group


def _operators() -> Any:
    """Collectives that return their result, and are part of a graph as any operator is."""
    return torch.ops._c10d_functional


def _arrived(tensor: Tensor) -> Tensor:
    """What an operator has sent, once it is there."""
    there: Tensor = _operators().wait_tensor(tensor)
    return there
