"""A small language model whose normalizations are patterns, and the proof that none looks ahead.

Blocks of causal attention and a gated layer, with root-mean-square norms before both, and over each
head's queries and keys. It learns a text by heart. Then it is asked whether any position sees a
later one; and a model that differs in one bracket is asked the same.

    python examples/torch_language.py [--steps 150]
"""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention, silu

import normscope as ns
from normscope.layers.torch import Norm

TEXT = (
    "A statistics set is all elements that share one mean and one variance. Brackets mark the axes "
    "inside it. What stands outside tells the sets apart. "
)
WIDTH, HEADS, LENGTH = 48, 4, 32

CHANNELS = ns.spec("b t [c]", c=WIDTH, center=False, measure="mean_square", scale="c")
"""Root mean square of each position's channels: RMSNorm."""
HEAD = ns.spec("b h t [d]", d=WIDTH // HEADS, center=False, measure="mean_square", scale="d")
"""The same of each head's queries and keys."""
TIME = ns.spec("b [t c]", center=False, measure="mean_square", scale="c", sizes={"c": WIDTH})
"""One bracket moved: all positions share one statistic."""


class Attention(nn.Module):
    """Causal attention, its queries and keys normalized."""

    def __init__(self) -> None:
        super().__init__()
        self.join = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.norm_q, self.norm_k = Norm(HEAD), Norm(HEAD)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = self.join(x).view(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(self.norm_q(q), self.norm_k(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, t, WIDTH))


class Gated(nn.Module):
    """A layer of twice the width, and a gate on it."""

    def __init__(self) -> None:
        super().__init__()
        self.widen, self.gate = (nn.Linear(WIDTH, 2 * WIDTH, bias=False) for _ in range(2))
        self.narrow = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(silu(self.gate(x)) * self.widen(x))


class Block(nn.Module):
    """Attention and gated layer, each behind a norm and around it a shortcut."""

    def __init__(self, stated: ns.NormSpec) -> None:
        super().__init__()
        self.norm1, self.attention = Norm(stated), Attention()
        self.norm2, self.gated = Norm(stated), Gated()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.gated(self.norm2(x))


class LanguageModel(nn.Module):
    """Letters in, scores of the letter that comes next out."""

    def __init__(self, letters: int, stated: ns.NormSpec = CHANNELS, blocks: int = 2) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.blocks = nn.Sequential(*(Block(stated) for _ in range(blocks)))
        self.norm = Norm(stated)
        self.scores = nn.Linear(WIDTH, letters, bias=False)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        x = self.letters(letters) + self.positions[: letters.shape[1]]
        return self.scores(self.norm(self.blocks(x)))


def learn(model: nn.Module, text: torch.Tensor, steps: int) -> float:
    """The loss after so many steps."""
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(steps):
        begins = torch.randint(len(text) - LENGTH, (16,))
        some = torch.stack([text[begin : begin + LENGTH + 1] for begin in begins])
        loss = cross_entropy(model(some[:, :-1]).flatten(0, 1), some[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.no_grad()
def continued(model: nn.Module, text: torch.Tensor, letters: int) -> torch.Tensor:
    for _ in range(letters):
        scores = model(text[None, -LENGTH:])
        text = torch.cat([text, scores[0, -1:].argmax(-1)])
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=150)
    torch.manual_seed(0)
    alphabet = sorted(set(TEXT))
    text = torch.tensor([alphabet.index(letter) for letter in TEXT])
    model = LanguageModel(len(alphabet))
    loss = learn(model, text, parser.parse_args().steps)
    said = "".join(alphabet[n] for n in continued(model, text[:12], 48))
    print(f"loss {loss:.2f}; it goes on: {said!r}")

    model.eval()
    some = torch.stack([text[begin : begin + 8] for begin in (0, 5, 11)])
    for name, asked in (("b t [c]", model), ("b [t c]", LanguageModel(len(alphabet), TIME).eval())):
        found = ns.scope(asked, some, axes="b t", all_axes=True)
        along = found.axes["inference"]["input"]["output"]["t"]
        print(f'with "{name}": along t the outputs are {along}')


if __name__ == "__main__":
    main()
