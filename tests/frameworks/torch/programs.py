"""Small programs of PyTorch, some of them made to fool a proof, and what is to be proved of each.

Each takes a `Machine` and an array of four samples with six numbers; the word says what is expected
of `samples_apart`.
"""

from __future__ import annotations

import copy
import functools
import operator
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

Program = Callable[["Machine", torch.Tensor], Any]
PROGRAMS: dict[str, tuple[Program, str]] = {}


class Machine(nn.Module):
    """Runs a program; holds what programs may use."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.program = program
        self.register_buffer("buf", torch.zeros(4, 6))
        self.register_buffer("flat", torch.zeros(24))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.tail = self.flat[6:]  # shares memory with a buffer
        self.weight = nn.Parameter(torch.randn(6, 6))
        self.linear = nn.Linear(6, 6)
        self.tied = self.linear
        self.batch_norm = nn.BatchNorm1d(6)
        self.memory: Any = None

    def forward(self, x: torch.Tensor) -> Any:
        return self.program(self, x)


def _says(word: str) -> Callable[[Program], Program]:
    def registered(program: Program) -> Program:
        PROGRAMS[program.__name__] = program, word
        return program

    return registered


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is deprecated, and used
    _scripted = torch.jit.trace(
        lambda z: (z * 2 - z.mean(1, keepdim=True)).relu(), torch.ones(4, 6)
    )


apart, meet, unknown = _says("apart"), _says("meet"), _says("unknown")


# --- views and writes in place --------------------------------------------------------------------


@meet
def write_into_a_view(m, x):
    y = x.clone()
    y[:, :3] = x.flip(0)[:, :3]
    return y


@meet
def write_into_the_base(m, x):
    y = x.clone()
    v = y[1:]
    y += x.mean(0)
    return torch.cat([y[:1], v])


@apart
def strided(m, x):
    return torch.as_strided(x.t().contiguous(), (4, 6), (1, 4), 0)


@meet
def strided_wrongly(m, x):
    return torch.as_strided(x.t().contiguous(), (4, 6), (6, 1), 0)


@meet
def strided_beyond_its_own_elements(m, x):
    y = torch.cat([x, x.flip(0)], 1)
    return y[:, :6].as_strided((4, 6), (12, 1), 6)


@meet
def swapped(m, x):
    return x.reshape(2, 2, 6).transpose(0, 1).reshape(4, 6)


@apart
def swapped_and_back(m, x):
    y = x.reshape(2, 2, 6).transpose(0, 1)
    return y.transpose(0, 1).reshape(4, 6)


@apart
def rows_in_a_loop(m, x):
    return torch.stack([x[i].cumsum(0) for i in range(4)])


@meet
def rows_carried_over(m, x):
    rows, last = [], x.new_zeros(6)
    for row in x:
        last = row + last
        rows.append(last)
    return torch.stack(rows)


@apart
def write_row_by_row(m, x):
    y = torch.empty_like(x)
    for i in range(4):
        y[i] = x[i] * 2
    return y


@meet
def write_the_next_row(m, x):
    y = torch.zeros_like(x)
    for i in range(4):
        y[i] = x[(i + 1) % 4]
    return y


@meet
def write_through_two_views(m, x):
    y = x.clone().view(24)
    z = y.view(4, 6)
    y[:6].copy_(x.sum(0))
    return z


@apart
def write_through_two_views_apart(m, x):
    y = x.clone().view(24)
    z = y.view(4, 6)
    z[:, 0].mul_(3)
    return y.view(4, 6)


@meet
def write_into_an_expanded_source(m, x):
    y = x.clone()
    row = y[0]
    wide = row.expand(4, 6)
    row.add_(1)
    return wide + x


@unknown
def write_through_complex(m, x):
    y = x.clone().reshape(4, 3, 2)
    z = torch.view_as_complex(y)
    z.copy_(torch.view_as_complex(x.flip(0).reshape(4, 3, 2)))
    return y.reshape(4, 6)


@unknown
def write_through_another_dtype(m, x):
    y = x.clone()
    y.view(torch.int32).copy_(x.flip(0).contiguous().view(torch.int32))
    return y


@meet
def write_into_the_input(m, x):
    x += x.mean(0)
    return x * 2


@meet
def select_written(m, x):
    y = x.clone()
    y[0] = x[1]
    return y


@meet
def out_argument(m, x):
    o = torch.empty(4, 6)
    torch.add(x, x.flip(0), out=o)
    return o


@apart
def out_argument_apart(m, x):
    o = torch.ones(4, 6)
    torch.mul(x, 3, out=o)
    return o


@meet
def out_argument_is_a_view(m, x):
    o = torch.zeros(5, 6)
    torch.add(x, x.flip(0), out=o[1:])
    return o[1:]


@meet
def set_data(m, x):
    y = torch.zeros(4, 6)
    y.data = m.buf.copy_(x.flip(0))
    return y


@meet
def write_into_data(m, x):
    b = torch.zeros(4, 6)
    b.data[...] = x.sum(0, keepdim=True)
    return x + b


@meet
def detached_and_written(m, x):
    y = x.clone()
    y.detach().copy_(x.flip(0))
    return y


@unknown
def set_to_another_memory(m, x):
    y = torch.zeros(4, 6)
    y.set_(x.flip(0).contiguous())
    return y


@meet
def swapped_tensors(m, x):
    a, b = m.buf, torch.zeros(4, 6)
    b.copy_(x.flip(0))
    a, b = b, a
    return a


# --- what the model holds -------------------------------------------------------------------------


@meet
def through_a_buffer(m, x):
    m.buf.copy_(x)
    return m.buf.flip(0)


@apart
def through_a_buffer_apart(m, x):
    m.buf.copy_(x)
    m.buf[:, 0] += 1
    return m.buf * 2


@meet
def through_a_shared_buffer(m, x):
    m.flat.copy_(x.flip(0).reshape(-1))
    return torch.cat([x[0], m.tail]).reshape(4, 6)


@meet
def memory_of_the_mean(m, x):
    m.buf += x.mean(0)
    return x - m.buf


@meet
def running_statistics(m, x):
    m.batch_norm.train()
    m.batch_norm(x)
    m.batch_norm.eval()
    return m.batch_norm(x)


@apart
def stored_statistics(m, x):
    return m.batch_norm(x)


@apart
def counted(m, x):
    m.count += 1
    return x * m.count


@apart
def counted_on_the_host(m, x):
    m.count += 1
    return x * m.count.item()


@meet
def parameter_written(m, x):
    with torch.no_grad():
        m.weight.copy_(x.t() @ x)
    return x @ m.weight


@meet
def parameter_made(m, x):
    return x * nn.Parameter(x.mean(0))


@apart
def buffer_replaced(m, x):
    m.buf = x * 2
    return m.buf + 1


@meet
def kept_in_an_attribute(m, x):
    m.memory = [x.flip(0)]
    return m.memory[0]


@apart
def tied_layers(m, x):
    return m.tied(m.linear(x).relu())


@meet
def weights_from_the_batch(m, x):
    return F.linear(x, x.t() @ x)


@meet
def functional_call(m, x):
    return torch.func.functional_call(m.linear, {"weight": x.t() @ x, "bias": m.buf[0]}, (x,))


@apart
def functional_call_apart(m, x):
    return torch.func.functional_call(m.linear, {"weight": m.weight * 2}, (x,))


@apart
def spectral_weight(m, x):
    return F.linear(x, m.weight / torch.linalg.matrix_norm(m.weight, 2))


# --- numbers that leave the graph -----------------------------------------------------------------


@unknown
def branch_on_the_mean(m, x):
    return x * 2 if float(x.mean()) > 0 else x * 3


@unknown
def item_added(m, x):
    return x + x.mean().item()


@unknown
def listed(m, x):
    return x + torch.tensor(x.mean(0).tolist())


@unknown
def numpy_trip(m, x):
    return x + torch.from_numpy(x.detach().numpy().mean(0))


@unknown
def numpy_in_vain(m, x):
    try:
        shift = float(x.numpy().mean())
    except RuntimeError:
        shift = 0.0
    return x + shift


@unknown
def item_in_vain(m, x):
    try:
        return x + x.mean().item()
    except Exception:
        return x


@unknown
def numpy_of_a_buffer(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.from_numpy(m.buf.numpy().copy())


@unknown
def numpy_before_the_write(m, x):
    seen = m.buf.numpy()
    m.buf.copy_(x.flip(0))
    return x + torch.from_numpy(seen.copy())


@unknown
def write_into_numpy(m, x):
    memory = np.zeros((4, 6), np.float32)
    torch.from_numpy(memory).copy_(x.flip(0))
    return x + torch.from_numpy(memory.copy())


@meet
def numpy_writes_into_a_constant(m, x):
    mix = torch.eye(4)
    y = mix @ x
    mix.numpy()[0, 1] = 1
    return mix @ y


@meet
def numpy_writes_into_its_own(m, x):
    memory = np.eye(4, dtype=np.float32)
    mix = torch.from_numpy(memory)
    y = mix @ x
    memory[0, 1] = 1
    return mix @ y


@apart
def numpy_constant(m, x):
    return torch.from_numpy(np.eye(4, dtype=np.float32)) @ x


@unknown
def printed(m, x):
    return x * len(str(x * 1000))


@unknown
def compared_as_a_whole(m, x):
    return x if torch.equal(x[0], x[1].clamp(-9, 9)) else -x


@unknown
def nearly_equal(m, x):
    return x if torch.allclose(x, x.clamp(-1.5, 9)) else -x


@unknown
def contained(m, x):
    return x if 0.5 in x.round() else x * 2


@unknown
def saved_and_loaded(m, x):
    m.buf.copy_(x.flip(0))
    return pickle.loads(pickle.dumps(m.buf))


@unknown
def copied_by_python(m, x):
    return copy.deepcopy(x.flip(0))


@meet
def gradient_as_a_place(m, x):
    y = torch.zeros(4, 6) * x
    y.grad = x.flip(0)
    return y.grad


@unknown
def in_another_thread(m, x):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: x.flip(0) * 2).result()


@meet
def generated(m, x):
    return torch.stack(tuple(row + x[0] for row in x))


@meet
def named_tuple(m, x):
    return torch.max(x, 0).values + x


@apart
def out_of_a_scripted_function(m, x):
    return _scripted(x)


@meet
def split_and_written(m, x):
    y = x.clone()
    a, b = y.split(2)
    a.copy_(b)
    return y


@apart
def split_features_written(m, x):
    y = x.clone()
    a, b = y.split(3, 1)
    a.add_(b)
    return y


@unknown
def foreach(m, x):
    y = torch._foreach_add([x, x], 1)
    return y[0] + y[1].flip(0)


@meet
def sparse_product(m, x):
    return torch.sparse.mm(torch.ones(4, 4).tril().to_sparse(), x)


@unknown
def made_of_numbers_in_a_list(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.tensor([[m.buf[0, 0]] * 6, [m.buf[1, 1]] * 6]).repeat(2, 1)


@unknown
def made_of_numbers_in_vain(m, x):
    try:
        return x + torch.tensor([x[0, 0]])
    except RuntimeError:
        return x


@unknown
def made_by_an_old_constructor(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.FloatTensor([m.buf[0, 0]])


@unknown
def made_by_numpy_of_a_list(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.from_numpy(np.array([m.buf[0, 0], m.buf[1, 0]])).sum()


@apart
def made_of_constants(m, x):
    return x * torch.tensor([m.weight[0, 0].detach(), 2.0]).sum()


@meet
def filled_by_a_tensor(m, x):
    return x + torch.zeros(6).fill_(x[0, 0])


@unknown
def full_of_a_tensor(m, x):
    return x + torch.full((6,), x[0, 0])


@unknown
def array_protocol(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.from_numpy(np.array(m.buf))


@unknown
def deep_copy_of_a_buffer(m, x):
    m.buf.copy_(x.flip(0))
    return copy.deepcopy(m.buf)


@unknown
def storage_of_a_buffer(m, x):
    m.buf.copy_(x.flip(0))
    return x + torch.tensor(m.buf.untyped_storage().tolist()[:6]).float()


@unknown
def truth(m, x):
    return x if x.sum() > 0 else -x


@unknown
def length_of_what_is_positive(m, x):
    return x * len(x[x > 0])


@unknown
def unique_values(m, x):
    return x + torch.unique(x.round()).numel()


@unknown
def formatted(m, x):
    return x * len(f"{x.mean():.2f}")


@unknown
def number_as_an_index(m, x):
    return x + x[int(x[0, 0] > 0)]


@apart
def asked_for_the_shape(m, x):
    return x * x.shape[0] if x.dim() == 2 and x.is_floating_point() else x.flip(0)


@apart
def mask_read_on_the_host(m, x):
    mask = torch.ones_like(x[:, 0]).cumsum(0)
    return x * mask.tolist()[2]


# --- numbers that Python takes from a buffer ------------------------------------------------------


@unknown
def index_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x[m.count]


@unknown
def slice_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x[m.count :].sum()


@unknown
def range_of_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + sum(range(m.count))


@unknown
def arange_of_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + torch.arange(m.count).sum()


@unknown
def narrow_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x.narrow(0, m.count, 1)


@unknown
def repeat_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x.repeat(m.count, 1)


@unknown
def split_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x.split(m.count)[0].sum()


@unknown
def roll_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x.roll(m.count, 1)


@unknown
def view_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x.new_zeros(m.count).numel()


@unknown
def factorial_of_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x * 2 ** m.count.numpy()


@unknown
def select_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x.select(0, m.count)


@meet
def multiplied_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x * m.count


@unknown
def list_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + [1.0, 2.0, 3.0, 4.0][m.count]


@meet
def power_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x.pow(m.count)


@unknown
def topk_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x + x.topk(m.count, 1).values.sum(1, keepdim=True)


@meet
def clamped_by_a_count(m, x):
    m.count += 1 + (x.flatten().sum() > 0).long()
    return x.clamp(max=m.count)


# --- chosen by data -------------------------------------------------------------------------------


@meet
def sorted_samples(m, x):
    return x.sort(0).values


@apart
def sorted_features(m, x):
    return x.sort(1).values


@unknown
def routed_by_order(m, x):
    order = x[:, 0].argsort()
    return x[order][order.argsort()]


@apart
def chosen_expert(m, x):
    experts = torch.stack([x @ m.weight, x * 2], 1)
    best = experts.sum(-1).argmax(1)
    return experts.gather(1, best[:, None, None].expand(-1, 1, 6))[:, 0]


@apart
def weights_of_the_chosen_expert(m, x):
    table = m.weight.view(2, 18)[:, :6]
    return x * table[(x[:, 0] > 0).long()]


@apart
def embedded(m, x):
    return F.embedding((x > 0).long(), m.weight)[:, 0]


@meet
def rows_chosen(m, x):
    return x[(x[:, 0] > 0).long()]


@apart
def last_of_each_sample(m, x):
    y = torch.stack([x, x * 2, x * 3], 1)
    last = (x > 0).sum(1).clamp(max=2)
    return y[torch.arange(4), last] + y[torch.arange(4), -1 - last]


@apart
def several_of_each_sample(m, x):
    y = torch.stack([x, x * 2, x * 3], 2)
    chosen = x[:, :2].argsort(1)
    return torch.cat(
        [
            y[torch.arange(4)[:, None], chosen].flatten(1),
            y[torch.arange(4)[:, None], :, chosen].flatten(1),
            y[torch.arange(4)[:, None], chosen, chosen],
            y[None][:, torch.arange(4)[:, None], chosen][0].flatten(1),
        ],
        1,
    )


@unknown
def last_of_another_sample(m, x):
    y = torch.stack([x, x * 2, x * 3], 1)
    return y[torch.tensor([1, 0, 3, 2]), (x > 0).sum(1).clamp(max=2)]


@apart
def put_into_each_sample(m, x):
    y = torch.zeros(4, 6)
    y[torch.arange(4), x.argmax(1)] = 1.0
    y[torch.arange(4)[:, None], x[:, :2].argsort(1)] = x[:, 2:4]
    return y


@apart
def best_features(m, x):
    return x.topk(3, 1).values.repeat(1, 2)


@apart
def masked(m, x):
    y = x.clone()
    y[x > 0] = 0
    return y


@meet
def masked_by_the_batch(m, x):
    return x.masked_fill(x > x.mean(0), 0.0)


@apart
def where(m, x):
    return torch.where(x > 0, x, x.mean(1, keepdim=True))


@unknown
def masked_in_part(m, x):
    y = x.clone()
    y[x.sum(1) > 0] *= -1.0
    return y


# --- scattered and gathered -----------------------------------------------------------------------


@meet
def put(m, x):
    y = torch.zeros(4, 6)
    y.index_put_((torch.tensor([3, 2, 1, 0]),), x)
    return y


@apart
def put_back(m, x):
    y = torch.zeros(4, 6)
    y.index_put_((torch.tensor([3, 2, 1, 0]),), x.flip(0))
    return y


@apart
def put_where_known(m, x):
    y = torch.zeros(4, 6)
    y[torch.tensor([True, False, True, True])] = x[[0, 2, 3]]
    return y


@meet
def put_where_known_wrongly(m, x):
    y = torch.zeros(4, 6)
    y[torch.tensor([True, True, True, False])] = x[[0, 2, 3]]
    return y


@meet
def graph_sum(m, x):
    return torch.zeros(4, 6).index_add_(0, torch.tensor([0, 0, 1, 2]), x)


@apart
def graph_sum_apart(m, x):
    return torch.zeros(4, 6).index_add_(0, torch.tensor([3, 1, 0, 2]), x[[3, 1, 0, 2]])


@meet
def scattered_mean(m, x):
    index = torch.tensor([0, 1, 1, 3])[:, None].expand(4, 6)
    return torch.zeros(4, 6).scatter_reduce(0, index, x, "mean", include_self=False)


@apart
def scattered_features(m, x):
    index = torch.tensor([5, 4, 3, 2, 1, 0]).expand(4, 6)
    return torch.zeros(4, 6).scatter_(1, index, x)


@apart
def scattered_value(m, x):
    return x.scatter(1, torch.tensor([[0], [1], [2], [3]]), 1.0)


@apart
def scattered_by_data(m, x):
    return torch.zeros(4, 6).scatter_add(1, (x > 0).long(), x)


@meet
def indexed_by_pairs(m, x):
    return x[torch.arange(4)[:, None], torch.arange(6)] + x[[1, 0, 3, 2]]


@apart
def copied_slices(m, x):
    return (
        torch.zeros(4, 6)
        .index_copy(1, torch.tensor([1, 0]), x[:, :2])
        .index_fill(1, torch.tensor([3]), 2.0)
    )


@meet
def bags(m, x):
    offsets = torch.tensor([0, 4, 12, 18])
    return F.embedding_bag((x.reshape(-1) > 0).long(), m.weight, offsets, mode="sum")


@apart
def even_bags(m, x):
    return F.embedding_bag((x > 0).long(), m.weight, mode="mean")


# --- products, windows, moves ---------------------------------------------------------------------


@meet
def gram(m, x):
    return torch.einsum("bi,ci->bc", x, x)


@apart
def gram_diagonal(m, x):
    return torch.einsum("bi,bi->b", x, x)[:, None]


@apart
def gram_diagonal_taken(m, x):
    return (x @ x.t()).diagonal()[:, None]


@apart
def padded_and_cut(m, x):
    return F.pad(x[None], (0, 0, 1, 1))[0][1:5]


@meet
def rolled(m, x):
    return x.roll(1, 0)


@apart
def rolled_features(m, x):
    return x.roll(1, 1)


@meet
def convolution_over_samples(m, x):
    return F.conv1d(x.t()[None], m.weight[:, :, None].repeat(1, 1, 3), padding=1)[0].t()


@apart
def convolution_over_features(m, x):
    return F.conv1d(x[:, None], m.weight[:1, None, :3], padding=1)[:, 0]


@apart
def kernels_of_each_sample(m, x):
    kernels = m.weight[None, :4, :6].reshape(1, 4, 2, 3) * x.mean(1)[:, None, None, None]
    given = torch.stack([x, x * 2], 1).reshape(1, 8, 6)
    return F.conv1d(given, kernels.reshape(16, 2, 3), groups=4).reshape(4, -1)


@apart
def depthwise_kernels_of_each_sample(m, x):
    kernels = x[:, None, :3] * torch.ones(1, 2, 1)
    given = torch.stack([x, x * 2], 1).reshape(1, 8, 6)
    return F.conv1d(given, kernels.reshape(8, 1, 3), groups=8).reshape(4, -1)


@meet
def window_over_samples(m, x):
    return F.avg_pool1d(x.t()[None], 3, 1, 1)[0].t()


@apart
def windows_of_one_sample(m, x):
    return F.max_pool1d(x.reshape(1, 1, 24), 6)[0, 0][:, None]


@apart
def unfolded(m, x):
    return x.unfold(1, 3, 1).mean(-1)


@meet
def unfolded_over_samples(m, x):
    return x.unfold(0, 2, 2).repeat(2, 1, 1).mean(-1)


@meet
def pixel_shuffled(m, x):
    return F.pixel_shuffle(x[:, :4].reshape(1, 4, 2, 2), 2).reshape(4, 4)


@apart
def linear_algebra(m, x):
    a = x[:, :4].reshape(4, 2, 2)
    return torch.linalg.solve(a @ a.mT + torch.eye(2), x[:, :2, None])[..., 0]


@apart
def fourier(m, x):
    return torch.fft.irfft(torch.fft.rfft(x, dim=1) * 2, n=6, dim=1)


@meet
def fourier_over_samples(m, x):
    return torch.fft.fft2(x).real


@meet
def distances(m, x):
    return torch.cdist(x, x)


@apart
def cumulated(m, x):
    return x.cumsum(1) / torch.arange(1, 7)


@meet
def cumulated_samples(m, x):
    return x.cumsum(0)


# --- transformations, functions, hooks ------------------------------------------------------------


@apart
def mapped_over_samples(m, x):
    return torch.func.vmap(lambda row: row / row.norm())(x)


@meet
def mapped_over_features(m, x):
    return torch.func.vmap(lambda column: column / column.norm(), in_dims=1, out_dims=1)(x)


@apart
def gradient_inside(m, x):
    return torch.func.grad(lambda z: (z**3).sum())(x)


@meet
def gradient_of_the_batch(m, x):
    return torch.func.grad(lambda z: z.mean(0).pow(2).sum())(x)


@meet
def gradient_recorded(m, x):
    with torch.enable_grad():
        z = x.detach().requires_grad_()
        return torch.autograd.grad(z.softmax(0).pow(2).sum(), z)[0]


@apart
def jacobian(m, x):
    return torch.func.vmap(torch.func.jacrev(lambda r: r.sin()))(x).sum(-1)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, y):
        return y * 2


class MeanInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.sub_(x.mean(0))

    @staticmethod
    def backward(ctx, y):
        return y


class ThroughNumpy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(np.flip(x.numpy(), 0).copy())

    @staticmethod
    def backward(ctx, y):
        return y


@apart
def own_function(m, x):
    return Doubled.apply(x)


@meet
def own_function_in_place(m, x):
    return MeanInPlace.apply(x.clone())


@unknown
def own_function_through_numpy(m, x):
    return ThroughNumpy.apply(x)


@apart
def inference_mode(m, x):
    with torch.inference_mode():
        return F.layer_norm(m.linear(x).matmul(m.weight), (6,)).reshape(4, 6)


@meet
def inference_mode_of_the_batch(m, x):
    with torch.inference_mode():
        return F.batch_norm(x, None, None, training=True)


@meet
def masked_tensors(m, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are in a prototype stage
        return torch.masked.masked_tensor(x, x > 0).mean(0).to_tensor(0.0) + x


class Loud(torch.Tensor):
    pass


@unknown
def own_class_of_tensors(m, x):
    return m.linear(x.as_subclass(Loud)).as_subclass(torch.Tensor)


@apart
def checkpointed(m, x):
    return checkpoint(m.linear, x, use_reentrant=False)


@meet
def checkpointed_mean(m, x):
    return checkpoint(lambda z: z - z.mean(0), x, use_reentrant=False)


@meet
def hook_that_mixes(m, x):
    handle = m.linear.register_forward_hook(lambda layer, given, y: y + y.flip(0))
    try:
        return m.linear(x)
    finally:
        handle.remove()


@meet
def hook_before(m, x):
    handle = m.linear.register_forward_pre_hook(lambda layer, given: (given[0].flip(0),))
    try:
        return m.linear(x)
    finally:
        handle.remove()


@apart
def quantile(m, x):
    return x - x.median(1, keepdim=True).values


@meet
def half_precision(m, x):
    return (x.to(torch.bfloat16).mean(0) + x).float()


@apart
def random_mask(m, x):
    return F.dropout(x, 0.5, training=True)


@unknown
def drawn_by_numbers(m, x):
    return F.rrelu(x, training=True)


@meet
def random_order(m, x):
    return x[torch.randperm(4)]


@apart
def reduced_by_python(m, x):
    return functools.reduce(operator.add, x.unbind(1))[:, None]


@meet
def reduced_samples_by_python(m, x):
    return x + sum(x.unbind(0))


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...]


@apart
def dataclass_output(m, x):
    return Output(x * 2, (x, x + 1))


@meet
def nested_output(m, x):
    return {"a": [x, (x * 2, None)], "b": {"c": x.flip(0)}}


class Holder:
    def __init__(self, x):
        self.x = x


@meet
def output_in_an_object(m, x):
    return Holder(x.flip(0))


@unknown
def no_output(m, x):
    x.sum(0)


@apart
def pooled_channels_last(m, x):
    image = x.reshape(4, 2, 3, 1).expand(4, 2, 3, 2).contiguous(memory_format=torch.channels_last)
    return F.adaptive_avg_pool2d(image, 1)[..., 0]


@meet
def strided_in_place(m, x):
    y = x.clone()
    y.as_strided_((4, 6), (1, 4))
    return y
