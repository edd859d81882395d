"""Every kind of layer that PyTorch has, and functions that models use, each with inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

Made = tuple[nn.Module, Any]


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def whole(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape)


def positive(*shape: int) -> torch.Tensor:
    return torch.rand(*shape) + 0.5


def _convolutions() -> dict[str, Made]:
    made: dict[str, Made] = {}
    sizes = {1: (7,), 2: (7, 6), 3: (5, 4, 6)}
    for rank, size in sizes.items():
        x = normal(3, 4, *size)
        convolution: Any = getattr(nn, f"Conv{rank}d")
        transposed: Any = getattr(nn, f"ConvTranspose{rank}d")
        made |= {
            f"Conv{rank}d": (convolution(4, 6, 3, padding=1), x),
            f"Conv{rank}d strided": (convolution(4, 6, 3, stride=2, dilation=2, padding=2), x),
            f"Conv{rank}d groups": (convolution(4, 8, 2, groups=2, bias=False), x),
            f"Conv{rank}d depthwise": (convolution(4, 4, 3, groups=4), x),
            f"ConvTranspose{rank}d depthwise": (transposed(4, 4, 3, 2, groups=4), x),
            f"Conv{rank}d depthwise, more": (convolution(4, 8, 3, groups=4), x),
            f"Conv{rank}d reflect": (convolution(4, 4, 3, padding=1, padding_mode="reflect"), x),
            f"Conv{rank}d same": (convolution(4, 4, 2, padding="same"), x),
            f"ConvTranspose{rank}d": (transposed(4, 6, 3, stride=2, padding=1), x),
            f"ConvTranspose{rank}d groups": (
                transposed(4, 6, 3, stride=2, output_padding=1, groups=2, dilation=2),
                x,
            ),
            f"MaxPool{rank}d": (getattr(nn, f"MaxPool{rank}d")(2, padding=1), x),
            f"AvgPool{rank}d": (getattr(nn, f"AvgPool{rank}d")(3, 2, padding=1), x),
            f"LPPool{rank}d": (getattr(nn, f"LPPool{rank}d")(2, 2), x),
            f"AdaptiveAvgPool{rank}d": (getattr(nn, f"AdaptiveAvgPool{rank}d")(3), x),
            f"AdaptiveAvgPool{rank}d even": (getattr(nn, f"AdaptiveAvgPool{rank}d")(1), x),
            f"AdaptiveMaxPool{rank}d": (getattr(nn, f"AdaptiveMaxPool{rank}d")(2), x),
            f"BatchNorm{rank}d": (getattr(nn, f"BatchNorm{rank}d")(4), x),
            f"BatchNorm{rank}d untracked": (
                getattr(nn, f"BatchNorm{rank}d")(4, track_running_stats=False),
                x,
            ),
            f"InstanceNorm{rank}d": (getattr(nn, f"InstanceNorm{rank}d")(4, affine=True), x),
            f"InstanceNorm{rank}d tracked": (
                getattr(nn, f"InstanceNorm{rank}d")(4, track_running_stats=True),
                x,
            ),
            f"ReplicationPad{rank}d": (getattr(nn, f"ReplicationPad{rank}d")(1), x),
            f"ReflectionPad{rank}d": (getattr(nn, f"ReflectionPad{rank}d")(1), x),
            f"CircularPad{rank}d": (getattr(nn, f"CircularPad{rank}d")(1), x),
            f"ConstantPad{rank}d": (getattr(nn, f"ConstantPad{rank}d")(1, 2.5), x),
            f"Dropout of channels {rank}": (
                nn.Dropout1d(0.5) if rank == 1 else getattr(nn, f"Dropout{rank}d")(0.5),
                x,
            ),
        }
    made["Conv2d channels last"] = (
        nn.Conv2d(4, 6, 3),
        normal(3, 4, 6, 6).to(memory_format=torch.channels_last),
    )
    made["FractionalMaxPool2d"] = nn.FractionalMaxPool2d(2, output_size=3), normal(3, 4, 7, 6)
    made["MaxUnpool2d"] = (
        Function(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        normal(3, 2, 4, 4),
    )
    return made


def _activations() -> dict[str, Made]:
    names = """ELU Hardshrink Hardsigmoid Hardtanh Hardswish LeakyReLU LogSigmoid PReLU ReLU ReLU6
    RReLU SELU CELU GELU Sigmoid SiLU Mish Softplus Softshrink Softsign Tanh Tanhshrink Softmin
    Softmax LogSoftmax Identity Dropout AlphaDropout FeatureAlphaDropout Flatten GLU"""
    made: dict[str, Made] = {}
    for name in names.split():
        layer: Any = getattr(nn, name)
        takes_dim = name in ("Softmin", "Softmax", "LogSoftmax")
        made[name] = (layer(dim=1) if takes_dim else layer(), normal(3, 4, 6))
    return made | {
        "Threshold": (nn.Threshold(0.1, 2.0), normal(3, 4)),
        "Softmax2d": (nn.Softmax2d(), normal(3, 4, 2, 2)),
        "GELU tanh": (nn.GELU("tanh"), normal(3, 4)),
        "ReLU in place": (nn.ReLU(inplace=True), normal(3, 4)),
        "Unflatten": (nn.Unflatten(1, (2, 3)), normal(3, 6)),
        "AdaptiveLogSoftmax": (
            nn.AdaptiveLogSoftmaxWithLoss(5, 9, [3]).log_prob  # type: ignore[dict-item]
            and Function(nn.AdaptiveLogSoftmaxWithLoss(5, 9, [3]).log_prob),
            normal(3, 5),
        ),
    }


def _others() -> dict[str, Made]:
    return {
        "Linear": (nn.Linear(6, 4), normal(3, 6)),
        "Linear of rank 3": (nn.Linear(6, 4), normal(3, 5, 6)),
        "Linear no bias": (nn.Linear(6, 4, bias=False), normal(3, 5, 6)),
        "Linear of a vector": (nn.Linear(6, 4), normal(6)),
        "Bilinear": (nn.Bilinear(4, 5, 6), (normal(3, 4), normal(3, 5))),
        "LayerNorm": (nn.LayerNorm((4, 6)), normal(3, 4, 6)),
        "LayerNorm plain": (nn.LayerNorm(6, elementwise_affine=False), normal(3, 4, 6)),
        "RMSNorm": (nn.RMSNorm(6), normal(3, 4, 6)),
        "GroupNorm": (nn.GroupNorm(2, 4), normal(3, 4, 5)),
        "LocalResponseNorm": (nn.LocalResponseNorm(3), normal(3, 5, 4, 4)),
        "CrossMapLRN2d": (nn.CrossMapLRN2d(3), normal(3, 5, 4, 4)),
        "Embedding": (nn.Embedding(9, 5, padding_idx=0), whole(9, 3, 4)),
        "Embedding bounded": (nn.Embedding(9, 5, max_norm=1.0), whole(9, 3, 4)),
        "EmbeddingBag": (nn.EmbeddingBag(9, 5, mode="mean"), whole(9, 3, 4)),
        "EmbeddingBag max": (nn.EmbeddingBag(9, 5, mode="max"), whole(9, 3, 4)),
        "LSTM": (nn.LSTM(5, 4, 2, batch_first=True), normal(3, 6, 5)),
        "LSTM both ways": (nn.LSTM(5, 4, bidirectional=True, proj_size=3), normal(6, 3, 5)),
        "LSTM unbatched": (nn.LSTM(5, 4), normal(6, 5)),
        "GRU": (nn.GRU(5, 4, batch_first=True), normal(3, 6, 5)),
        "RNN": (nn.RNN(5, 4), normal(6, 3, 5)),
        "RNN relu": (nn.RNN(5, 4, nonlinearity="relu"), normal(6, 3, 5)),
        "LSTMCell": (nn.LSTMCell(5, 4), normal(3, 5)),
        "GRUCell": (nn.GRUCell(5, 4), normal(3, 5)),
        "RNNCell": (nn.RNNCell(5, 4), normal(3, 5)),
        "packed LSTM": (Function(_packed(nn.LSTM(5, 4, batch_first=True))), normal(3, 6, 5)),
        "MultiheadAttention": (
            nn.MultiheadAttention(6, 2, batch_first=True),
            (normal(3, 4, 6),) * 3,
        ),
        "MultiheadAttention of time": (nn.MultiheadAttention(6, 2), (normal(4, 3, 6),) * 3),
        "MultiheadAttention bias_kv": (
            nn.MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True),
            (normal(4, 3, 6),) * 3,
        ),
        "TransformerEncoderLayer": (
            nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, norm_first=True),
            normal(3, 4, 6),
        ),
        "TransformerDecoderLayer": (
            nn.TransformerDecoderLayer(6, 2, 8, activation="gelu"),
            (normal(4, 3, 6), normal(5, 3, 6)),
        ),
        "Transformer": (
            nn.Transformer(6, 2, 1, 1, 8, batch_first=True),
            (normal(3, 4, 6), normal(3, 5, 6)),
        ),
        "PixelShuffle": (nn.PixelShuffle(2), normal(3, 8, 2, 3)),
        "PixelUnshuffle": (nn.PixelUnshuffle(2), normal(3, 2, 4, 6)),
        "ChannelShuffle": (nn.ChannelShuffle(2), normal(3, 6, 2, 2)),
        "Fold": (nn.Fold((4, 5), 2), normal(3, 8, 12)),
        "Unfold": (nn.Unfold(2, padding=1, stride=2), normal(3, 4, 5, 6)),
        "Upsample nearest": (nn.Upsample(scale_factor=2), normal(3, 2, 3, 4)),
        "Upsample nearest 1d": (nn.Upsample(scale_factor=1.5), normal(3, 2, 4)),
        "Upsample exact": (nn.Upsample(scale_factor=2, mode="nearest-exact"), normal(3, 2, 3, 4)),
        "Upsample bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), normal(3, 2, 3, 4)),
        "Upsample bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), normal(3, 2, 3, 4)),
        "Upsample linear": (nn.Upsample(scale_factor=2, mode="linear"), normal(3, 2, 3)),
        "Upsample trilinear": (
            nn.Upsample(scale_factor=2, mode="trilinear"),
            normal(3, 1, 3, 2, 2),
        ),
        "antialiased": (
            Function(lambda x: F.interpolate(x, size=3, mode="bilinear", antialias=True)),
            normal(3, 2, 5, 5),
        ),
        "CosineSimilarity": (nn.CosineSimilarity(1), (normal(3, 5), normal(3, 5))),
        "PairwiseDistance": (nn.PairwiseDistance(), (normal(3, 5), normal(3, 5))),
        "weight norm": (nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), normal(3, 5)),
        "old weight norm": (_quietly(nn.utils.weight_norm, nn.Linear(5, 4)), normal(3, 5)),
        "spectral norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)), normal(3, 5)),
        "old spectral norm": (nn.utils.spectral_norm(nn.Linear(5, 4)), normal(3, 5)),
        "orthogonal": (nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), normal(3, 4)),
        "CrossEntropyLoss": (nn.CrossEntropyLoss(), (normal(3, 5), whole(5, 3))),
        "MSELoss": (nn.MSELoss(reduction="none"), (normal(3, 5), normal(3, 5))),
        "SmoothL1Loss": (nn.SmoothL1Loss(), (normal(3, 5), normal(3, 5))),
        "KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), (normal(3, 5), positive(3, 5))),
        "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), (normal(3, 5), positive(3, 5))),
        "CTCLoss": (
            Function(
                lambda x: F.ctc_loss(x.log_softmax(-1), torch.ones(3, 2).long(), [6] * 3, [2] * 3)
            ),
            normal(6, 3, 5),
        ),
        "NLLLoss2d": (nn.NLLLoss(), (normal(3, 5, 2, 2), whole(5, 3, 2, 2))),
        "TripletMarginLoss": (nn.TripletMarginLoss(), (normal(3, 5), normal(3, 5), normal(3, 5))),
        "HuberLoss": (nn.HuberLoss(), (normal(3, 5), normal(3, 5))),
        "BatchNorm half": (nn.BatchNorm2d(4).half(), normal(3, 4, 2, 2).half()),
        "Linear bfloat16": (nn.Linear(4, 5).bfloat16(), normal(3, 4).bfloat16()),
        "Linear float64": (nn.Linear(4, 5).double(), normal(3, 4).double()),
    }


def _quietly(function: Any, layer: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(layer)


def _packed(layer: nn.LSTM) -> Callable[[torch.Tensor], torch.Tensor]:
    def run(x: torch.Tensor) -> torch.Tensor:
        lengths = torch.tensor([6, 4, 2])
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)[0]

    return run


def _whole_rows(x: torch.Tensor) -> torch.Tensor:
    """Where two groups of rows end: those with a large first element, then all others."""
    large = (x[:, 0] > 0.3).sum(dtype=torch.int32)
    return torch.stack([large, torch.full_like(large, len(x))])


_INDEX = torch.tensor([[2, 0], [1, 1], [0, 2]])
_FUNCTIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "statistics": (
        lambda x: (
            x.mean((0, 2)),
            x.var(1),
            x.std(1, keepdim=True),
            torch.var_mean(x, 2),
            x.norm(dim=1),
            x.norm(),
            F.normalize(x),
            x.sum(),
            x.nansum(1),
            torch.std_mean(x, 0),
            x.prod(1),
            torch.linalg.vector_norm(x, 1, 2),
            x.logsumexp(1),
            x.abs().mean(),
            x.nanmean(1),
        ),
        normal(3, 4, 5),
    ),
    "extremes": (
        lambda x: (
            x.amax((0, 1)),
            x.max(1),
            x.min(1).indices,
            x.max(),
            x.median(1),
            x.median(),
            torch.aminmax(x, dim=1),
            x.mode(1),
            x.kthvalue(2, 1),
            x.argmax(1),
            x.argmin(),
            torch.quantile(x, 0.3, 1),
            (x > 0).any(1),
            (x > 0).all(),
            x.count_nonzero(1),
            x.nanmedian(1),
            torch.maximum(x, x.flip(1)),
            torch.minimum(x, torch.ones(5)),
        ),
        normal(3, 4, 5),
    ),
    "elementwise": (
        lambda x: (
            x + 1,
            2 - x,
            x * 3,
            x / 2,
            1 / x,
            x**2,
            x**-1.5,
            x**0.5,
            2**x,
            x**x,
            x.rsqrt(),
            x.sqrt(),
            x.square(),
            x.abs(),
            x.exp(),
            x.log(),
            x.log1p(),
            x.sin(),
            x.erf(),
            x.floor(),
            x.round(),
            x.sign(),
            x.clamp(0.1, 0.9),
            x.clamp(min=x.flip(1)),
            x.clip(max=1),
            x // 2,
            x % 2,
            torch.fmod(x, 2),
            x.lerp(x.flip(1), 0.3),
            torch.addcmul(x, x, x.flip(1), value=2),
            torch.addcdiv(x, x, x + 1),
            torch.atan2(x, x + 1),
            x.nan_to_num(),
            x.logit(),
            x.frac(),
            torch.where(x > 1, x, 0.0),
            torch.hypot(x, x),
            torch.xlogy(x, x),
            x.sinc(),
            x.bool(),
            ~(x > 1) | (x < 0.6) & (x != 0.7),
            x.isnan(),
            torch.isclose(x, x),
            x.to(torch.float16),
            torch.special.i0(x),
            x.digamma(),
            x.lgamma(),
            x.erfinv(),
            torch.logaddexp(x, x.flip(1)),
            x.trunc(),
            x.neg(),
            torch.float_power(x, 2),
            torch.bucketize(x, torch.tensor([0.3, 0.6])),
            x.copysign(-x),
            x.expm1(),
            x.masked_fill(x > 1, 2.0),
            torch.complex(x, x).abs(),
            torch.polar(x, x).real,
            torch.view_as_real(torch.complex(x, x)),
            torch.heaviside(x, x),
        ),
        positive(3, 4),
    ),
    "in place": (
        lambda x: (
            x.clone().add_(1).mul_(2).div_(3).clamp_(0).sqrt_().pow_(2).sigmoid_(),
            x.clone().masked_fill_(x > 1, 0).fill_diagonal_(2),
            x.clone().zero_() + 1,
            x.clone().fill_(3),
            x.clone().uniform_() * 0,
            x.clone().addcmul_(x, x),
            x.clone().lerp_(x + 1, 0.5),
            x.clone().index_fill_(1, torch.tensor([0]), 9.0),
            x.clone().t_(),
            x.clone().copy_(torch.ones(4)),
            x.clone().fill_(x.sum()),
            x.clone().squeeze_(0).unsqueeze_(0),
            x.clone().tril_(),
            torch.relu_(x.clone()),
        ),
        positive(3, 4),
    ),
    "running": (
        lambda x: (
            x.cumsum(1),
            x.cumprod(0),
            x.logcumsumexp(1),
            x.cummax(1),
            x.cummin(0),
            x.diff(),
            x.softmax(1),
            x.log_softmax(-1),
            x.sort(1),
            x.topk(2, 1),
            x.argsort(0),
            x.msort(),
            torch.searchsorted(x.sort(1).values, x),
            torch.cumulative_trapezoid(x),
        ),
        normal(3, 4),
    ),
    "moves": (
        lambda x: (
            x.t(),
            x.reshape(-1),
            x.view(2, 6),
            x.expand(2, 3, 4),
            x[1:, ::2],
            x[:, 1],
            x[None],
            x.squeeze(),
            x.unbind(1),
            x.split(2, 1),
            x.split([1, 3], 1),
            x.chunk(2, 1),
            x.flip(0),
            torch.cat([x, x]),
            torch.stack([x, x], 1),
            x.roll((1, 1), (0, 1)),
            x.repeat(2, 1),
            x.tile(2),
            x.diagonal(),
            torch.diag_embed(x),
            x.rot90(),
            x.tril(),
            x.triu(1),
            x.unfold(1, 2, 1),
            x.movedim(0, 1),
            x.repeat_interleave(2, 1),
            x.narrow(1, 1, 2),
            torch.block_diag(x, x),
            torch.hstack([x, x]),
            x.flatten(),
            x.diag(),
            torch.kron(x, x),
            torch.select_scatter(x, x[0], 0, 1),
            torch.slice_scatter(x, x[:1], 0, 1, 2),
            torch.diagonal_scatter(x, x[:, 0]),
            x.unflatten(1, (2, 2)),
            torch.meshgrid(x[0], x[1], indexing="ij"),
            x.as_strided((2, 2), (4, 1), 1),
            x.view(torch.int32),
            F.pad(x, (1, -1)),
            x.t().contiguous(),
            torch.combinations(x[0], 2),
            torch.cartesian_prod(x[0], x[1]),
            x.swapaxes(0, 1),
            torch.tensor_split(x, 2, 1),
        ),
        normal(3, 4),
    ),
    "lookups": (
        lambda x: (
            x[_INDEX[:, 0]],
            x[:, torch.tensor([1, 0])],
            x[_INDEX, _INDEX],
            x[torch.tensor([True, False, True])],
            x.gather(1, _INDEX),
            x.index_select(1, torch.tensor([1, 3])),
            x.take(_INDEX),
            torch.take_along_dim(x, x.argsort(1), 1),
            x[(x > 0).long()[:, 0]],
            x.gather(1, x.argsort(1)[:, :2]),
            x.index_select(0, x[:, 0].argsort()),
            x[torch.arange(3), x.argmax(1)],
            x[torch.arange(3)[:, None], x.argsort(1)[:, :2]],
            x[None][:, torch.arange(3), -x.argmax(1)],
            x.reshape(3, 2, 2)[torch.arange(3), :, x[:, :2].argmax(1)],
            x.reshape(3, 2, 2)[:, torch.tensor([1, 0, 1]), x[:, :2].argmax(1)],
            x.reshape(3, 2, 2)[torch.arange(3), x[:, :2].argmax(1), x[:, 2:].argmax(1)],
            x[:, x.argmax(1), None],
            F.one_hot((x > 0).long(), 3),
            x[..., x[0].argsort()],
            x.take(x.argmax(1)),
            x[None][:, :, _INDEX],
        ),
        normal(3, 4),
    ),
    "scatters": (
        lambda x: (
            x.scatter(1, _INDEX, x[:, 2:]),
            x.scatter_add(1, _INDEX, x),
            x.scatter(1, _INDEX, 5.0),
            x.scatter_reduce(1, _INDEX, x, "amax"),
            x.index_add(0, _INDEX[:, 0], x),
            x.index_copy(0, _INDEX[:, 0], x.flip(0)),
            x.index_put((_INDEX[:, 0], _INDEX[:, 1]), x[:, 0]),
            x.index_put((_INDEX[:, 0],), x[0], accumulate=True),
            x.index_fill(1, torch.tensor([2]), 7.0),
            x.scatter(1, x.argsort(1), x),
            x.scatter(0, _INDEX, 1.0, reduce="add"),
            x.index_add(0, x[:, 0].argsort(), x),
            x.masked_scatter(torch.tensor([True, False, True, False]), x),
            x.index_put((x[:, 0].argsort(),), x),
            x.index_put((x > 0,), torch.tensor(0.0)),
            x.index_put((torch.arange(3), -x.argmax(1)), x[:, 0]),
            x.index_put((torch.arange(3)[:, None], x.argsort(1)[:, :2]), x[:, 1:3]),
            x.reshape(3, 2, 2).index_put((torch.arange(3), x[:, :2].argmax(1)), x[:, :2]),
            x.index_reduce(0, _INDEX[:, 0], x, "mean"),
        ),
        normal(3, 4),
    ),
    "products": (
        lambda x: (
            x @ x.t(),
            x @ x[0],
            x[0] @ x[0],
            torch.einsum("ij,kj->ik", x, x),
            torch.outer(x[0], x[1]),
            torch.cdist(x, x),
            x[None] @ x.t()[None],
            torch.addmm(torch.ones(3), x, x.t()),
            torch.addr(torch.zeros(4, 4), x[0], x[1]),
            torch.baddbmm(torch.ones(1, 1, 3), x[None], x.t()[None]),
            torch.tensordot(x, x, ([0], [0])),
            torch.vdot(x[0], x[1]),
            torch.addmv(torch.zeros(3), x, x[0]),
            torch.linalg.multi_dot([x, x.t(), x]),
            torch.cross(x[:, :3], x[:, 1:], 1),
            torch.cov(x),
            torch.corrcoef(x),
            torch.trapezoid(x),
            F.pdist(x),
            torch.trace(x),
        ),
        normal(3, 4),
    ),
    "linear algebra": (
        lambda x: (
            torch.linalg.inv(x),
            torch.linalg.solve(x, x),
            torch.linalg.svd(x),
            torch.linalg.eigh(x + x.mT),
            torch.linalg.det(x),
            torch.linalg.qr(x),
            torch.linalg.cholesky(x @ x.mT + torch.eye(3)),
            torch.linalg.pinv(x),
            torch.matrix_exp(x),
            torch.linalg.slogdet(x),
            torch.linalg.matrix_norm(x),
            torch.linalg.norm(x),
            torch.linalg.solve_triangular(x, x, upper=True),
            torch.linalg.matrix_power(x, 3),
            torch.linalg.eigvals(x),
            torch.linalg.matrix_rank(x),
        ),
        normal(2, 3, 3),
    ),
    "Fourier": (
        lambda x: (
            torch.fft.fft(x),
            torch.fft.rfft(x, dim=0),
            torch.fft.irfft(torch.fft.rfft(x)),
            torch.fft.fft2(x).abs(),
            torch.fft.fftshift(x),
            torch.stft(x, 4, return_complex=True, window=torch.hann_window(4)),
            torch.istft(
                torch.stft(x, 4, return_complex=True, window=torch.hann_window(4)),
                4,
                window=torch.hann_window(4),
            ),
        ),
        normal(3, 16),
    ),
    "positions": (
        lambda x: (
            F.grid_sample(
                x,
                torch.zeros(3, 2, 2, 2) + x.mean((1, 2, 3))[:, None, None, None],
                align_corners=False,
            ),
            F.affine_grid(
                x.mean((1, 2, 3))[:, None, None].expand(3, 2, 3), [3, 2, 4, 4], align_corners=False
            ),
            F.interpolate(x, (3, 5), mode="bilinear", align_corners=True),
            F.interpolate(x, 2, mode="area"),
            F.adaptive_max_pool2d(x, 3),
            F.unfold(x, 2),
            F.fold(F.unfold(x, 2), 4, 2),
            F.avg_pool2d(x, 3, 1, 1, ceil_mode=True),
            F.max_pool2d(x, 3, 2, 1, ceil_mode=True, dilation=1),
            F.lp_pool2d(x, 2, 2),
            F.local_response_norm(x, 2),
        ),
        normal(3, 2, 4, 4),
    ),
    "random": (
        lambda x: (
            F.dropout(x),
            torch.bernoulli(x.sigmoid()),
            torch.rand_like(x) * 0,
            torch.randn(3, 4) + x,
            x.softmax(1).multinomial(2),
            torch.normal(x, 1.0),
            F.gumbel_softmax(x),
            torch.distributions.Normal(x, 1.0).rsample(),
            torch.poisson(x.exp()),
            x + torch.randint(0, 3, (4,)),
            F.rrelu(x, training=True),
        ),
        normal(3, 4),
    ),
    "made": (
        lambda x: (
            x
            + torch.arange(4)
            + torch.eye(3, 4)
            + torch.linspace(0, 1, 4)
            + torch.ones_like(x)
            + x.new_full((4,), 2.0)
            + torch.tril_indices(3, 3).sum()
            + torch.full_like(x, 3)
            + torch.hann_window(4)
            + torch.tensor([1.0, 2.0, 3.0, 4.0])
            + torch.zeros(3, 4).normal_() * 0
            + torch.triu(torch.ones(3, 4))
            + torch.empty_like(x).fill_(1)
            + x.new_tensor([1.0])
        ),
        normal(3, 4),
    ),
    "attention": (
        lambda x: (
            F.scaled_dot_product_attention(x, x, x),
            F.scaled_dot_product_attention(x, x, x, is_causal=True),
            F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(4, 4).tril().bool()),
            F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(4, 4), dropout_p=0.0),
        ),
        normal(3, 2, 4, 6),
    ),
    "groups of rows": (
        lambda x: torch._grouped_mm(x, torch.ones(2, 8, 4), offs=_whole_rows(x)),
        normal(6, 8),
    ),
    "rare": (
        lambda x: (
            torch.addbmm(torch.zeros(2, 2), x.reshape(3, 2, 2), x.reshape(3, 2, 2)),
            torch.isin(x.round(), torch.tensor([0.0, 1.0])),
            x.renorm(2, 0, 1.0),
            x.histc(4),
            torch.sparse.mm(torch.eye(3).to_sparse(), x),
            x.renorm(1, 1, 0.5),
        ),
        normal(3, 4),
    ),
    "least squares": (lambda x: torch.linalg.lstsq(x, x).solution, normal(2, 3, 3)),
    "segments": (
        lambda x: torch.segment_reduce(x, "mean", lengths=torch.tensor([1, 2]), axis=0),
        normal(3, 4),
    ),
}

LAYERS: dict[str, Made] = {
    **_convolutions(),
    **_activations(),
    **_others(),
    **{name: (Function(function), inputs) for name, (function, inputs) in _FUNCTIONS.items()},
}
