"""The question that normscope began with, answered with normscope.

A network of 2016 normalizes feature maps of shape (batch, 128, 56, 56) with Keras 1
BatchNormalization(mode=1), documented as "sample-wise normalization. This mode assumes a 2D input".
Its author read mean(x, axis=-1) in the source and asked: what exactly is normalized? The mean over
all of x? Axis 1?

    python examples/founding_question.py
"""

from __future__ import annotations

import os
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import normscope as ns

HERE = Path(__file__).parent
MODEL = HERE / "seed_network_full_th.json"
PAGE = HERE.parent / "build" / "founding_question.html"
SHAPE = (2, 128, 56, 56)


def main() -> None:
    report = ns.audit(MODEL)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(report.to_html(), encoding="utf-8")
    print(report)
    print()
    for paragraph in (
        what_is_normalized(report),
        why_not_all_of_x(),
        where_epsilon_enters(),
        what_was_documented(report),
        what_to_write_today(),
        little_example(),
        in_pytorch_today(),
    ):
        print("\n".join(paragraph))
        print()
    print(f"The same with pictures: {PAGE}")


def what_is_normalized(report: ns.Audit) -> list[str]:
    site = report.layers[0]
    facts = ns.explain(site.train, site.input_shape).facts
    assert facts.scale is not None
    return [
        "What exactly is normalized?",
        f"  Each of the {len(report.layers)} layers takes one mean and one variance over the "
        f"{facts.set_size} pixels of one image row:",
        f'  "{site.train.pattern}", {facts.sets_per_sample} statistics sets per sample '
        f"({site.input_shape[1]} channels x {site.input_shape[2]} rows).",
        f"  The learned scale and bias have {facts.scale.count} values each: one per image column,",
        "  not one per channel.",
        "  Each sample is indeed normalized independently of the others, but not as",
        '  "sample-wise" suggests: within a sample no row and no channel sees another.',
    ]


def why_not_all_of_x() -> list[str]:
    coded = ns.preset("keras1.BatchNormalization", mode=1, axes="b c h w")
    everything = ns.spec("[b c h w]", eps=coded.eps, eps_outside=coded.eps_outside)
    x = np.random.default_rng(0).normal(size=SHAPE)
    disturbed = x.copy()
    disturbed[0, 3, 5, 7] = 1000

    def changed(spec: ns.NormSpec) -> np.ndarray:
        return np.argwhere(ns.normalize(x, spec) != ns.normalize(disturbed, spec))

    row, whole = changed(coded), changed(everything)
    assert (row[:, :3] == [0, 3, 5]).all()
    return [
        "Is it the mean over all of x, as the author first read it?",
        "  No: axis=-1 is the last axis alone, not all of them. Change one pixel of one channel of",
        f"  one sample: {len(row)} outputs change, those of its row. Were it the mean over all of",
        f"  x, {len(whole):,} of {x.size:,} would change, in all samples.",
        "  Axis 1 would have been the channels: in this file 'th' ordering is (batch, channels,",
        '  rows, columns). Over them it reads "b [c] h w".',
    ]


def where_epsilon_enters() -> list[str]:
    lines = ["Where does epsilon enter?"]
    for release in ("1.0.4", "1.2.2"):
        spec = ns.preset("keras1.BatchNormalization", mode=1, release=release)
        formula = ns.explain(spec, SHAPE).to_dict()["formula"]["text"]
        when = "the release of the question" if release == "1.0.4" else "the last of Keras 1"
        lines.append(f"  Keras {release}, {when}:")
        lines.append(f"    {formula}")
    lines.append("  First it was added to the root alone, from 1.0.5 on inside the root and to it.")
    return lines


def what_was_documented(report: ns.Audit) -> list[str]:
    declaration = report.layers[0].declared
    return [
        "What was the contract?",
        f'  "{declaration.documented_words}"',
        f'  So it was documented for (batch, features) only: "{declaration.documented}". '
        "Nothing enforced it.",
    ]


def what_to_write_today() -> list[str]:
    explanation = ns.explain("BatchNormalization(mode=1)", (None, *SHAPE[1:]), axes="b c h w")
    lines = ["What would the usual versions be, and how are they written in Keras 3?"]
    for other in explanation.alternatives:
        lines.append(f"  {other.spec.pattern:13}  {other.name}")
        if other.keras:
            lines.append(f"                 {other.keras.code}")
            lines += [f"                 ({other.keras.caution})"] if other.keras.caution else []
    return lines


def little_example() -> list[str]:
    x = np.array([[1.0, 2, 3], [4, 5, 6]])
    y, stats = ns.normalize(x, "b [c]", return_stats=True)
    return [
        "The little example: [[1, 2, 3], [4, 5, 6]], mean over the last axis",
        '  >>> y, stats = ns.normalize(x, "b [c]", return_stats=True)',
        "  >>> stats.mean",
        f"  {stats.mean!r}",
        "  >>> y.round(3)",
        *(f"  {line}" for line in repr(y.round(3)).splitlines()),
    ]


def in_pytorch_today() -> list[str]:
    if find_spec("torch") is None:
        return [
            "Can it happen today? Install torch and run this again: it audits a live model too."
        ]
    import torch
    from torch_network import Network

    report = ns.audit(Network(), torch.zeros(4, 3, 56, 56), axes="b c h w")
    lines = ["Can it happen today? A live model of PyTorch, examples/torch_network.py:"]
    for number, site in enumerate(report.layers):
        where = f"{site.path} ({site.type})" if site.path else "in forward"
        lines.append(f'  {where:19}  "{site.train.pattern}"')
        for finding in report.findings_of(number):
            said = textwrap.wrap(f"{finding.code} {finding.message}", 84)
            lines += [f"{'':6}{line}" for line in said]
    word = report.samples["inference"].verdict
    return [*lines, f"  At inference its samples are {word}."]


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
