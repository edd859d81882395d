"""What the reports say of models whose operators were followed; sites are made by hand here."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from markupsafe import escape
from rich.console import Console

from audits_by_hand import (
    EVIL,
    accepted,
    batch_norm,
    global_response_norm,
    hostile,
    layer_norm,
    mixed,
    model,
    resnet,
)
from normscope.audit.audit import judged
from normscope.audit.model_graph import Maker, Site
from normscope.audit.reports.recurring import recurring
from normscope.audit.reports.text import rich_text
from normscope.notation.spec import NormSpec
from normscope.sight.verdict import Samples, Through, Word


def rows(text: str, columns: int = 100) -> int:
    """How many rows of a terminal a text takes."""
    return sum(max(1, -(-len(line) // columns)) for line in text.splitlines())


def test_a_resnet_fits_on_one_screen() -> None:
    text = str(resnet(bias=True))
    lines = text.splitlines()
    assert rows(text) <= 30
    assert lines[:3] == [
        "Each of the 53 normalization layers normalizes one channel over the whole batch; "
        "at inference it uses stored statistics.",
        "In training, samples see each other, first through layer1.0.bn1 (BatchNorm2d, "
        "aten.native_batch_norm, resnet.py:12).",
        "At inference, no sample sees another: proved on the operators.",
    ]
    assert "bn1 ... layer4.2.bn3 (53 layers alike)" in lines
    assert '  "[b] c [h w]" on (4, 64 to 2048, 7 to 112, 7 to 112)' in lines
    assert "NS401 info redundant-bias in 53 layers, bn1 ... layer4.2.bn3" in lines
    assert lines.index(
        "NS401 info redundant-bias in 53 layers, bn1 ... layer4.2.bn3"
    ) < lines.index("bn1 ... layer4.2.bn3 (53 layers alike)")


def test_findings_about_the_model_come_right_after_the_answer() -> None:
    found = [line for line in str(mixed()).splitlines() if line.startswith("NS")]
    assert found[0] == "NS401 warning redundant-bias in the model as a whole"
    assert [line.split()[1] for line in found[1:]] == ["error", "error", "error", "info"]


def test_promises_and_what_is_accepted_stand_below_the_answer() -> None:
    audit = accepted()
    lines = str(audit).splitlines()
    said = [
        'Promise broken: independent="b" in training.',
        'Promise kept: independent="b" at inference: proved.',
        'Promise not known to be kept: causal="t@inference" at inference.',
        "Allowed: NS302 at stem.bn (test-time adaptation).",
        "1 finding is known, in the baseline.",
    ]
    assert [line for line in lines if line in said] == said
    page = audit.to_html()
    for line in said:
        assert str(escape(line)) in page
    assert "an order decides" in page


def test_findings_that_differ_are_not_one() -> None:
    eps = [NormSpec("b s [c]", eps=value) for value in (0.0, 1e-46, 0.0)]
    sites = [layer_norm(f"n{k}", train=spec, infer=spec) for k, spec in enumerate(eps)]
    found = recurring(judged(model(sites), select=["NS201"]))
    assert [entry.paths for entry in found] == [("n0", "n2"), ("n1",)]


def test_colour_changes_nothing_but_colour() -> None:
    audit = mixed()
    console = Console(file=io.StringIO(), width=100, color_system="truecolor", force_terminal=True)
    console.print(rich_text(audit), soft_wrap=True, highlight=False)
    coloured = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.rstrip().splitlines()] == str(audit).splitlines()


def test_names_are_escaped_in_the_text() -> None:
    text = str(hostile())
    assert all(line.isprintable() for line in text.splitlines())
    assert EVIL not in text
    assert "\\x1b[31m\\n" in text


def test_html_and_sarif_say_the_same() -> None:
    audit = resnet()
    page = audit.to_html()
    for line in str(audit).splitlines()[:3]:
        assert line in page
    assert "(4, 64 to 2048, 7 to 112, 7 to 112)" in page
    assert json.dumps(audit.to_sarif())


def test_the_headline_is_what_is_not_as_declared() -> None:
    differs = "not as its settings declare (torch.nn.LayerNorm): d1 is shared, not independent"
    audit = judged(model([layer_norm("a"), layer_norm("norm", differs=differs)]))
    first = f"norm is {differs}."
    assert str(audit).splitlines()[0] == first
    assert audit.to_html().index(first) < audit.to_html().index("normalization layers")
    assert first in json.dumps(audit.to_sarif())


def test_what_no_pattern_says_is_told_in_words() -> None:
    audit = judged(model([global_response_norm("grn")]))
    text = str(audit)
    assert "grn mixes values as no pattern says it: global response norm." in text
    assert "Global response norm on (4, 5, 5, 16)" in text
    assert audit.to_dict()["layers"][0]["kind"] == "mixing"
    assert audit.to_html()


def test_what_was_dismissed_is_listed_when_asked() -> None:
    softmax = layer_norm("attn", dismissed="a softmax, or weights that sum to one")
    graph = model([layer_norm("norm")], dismissed=(softmax,))
    said = "attn (torch.nn.LayerNorm): a softmax, or weights that sum to one"
    assert said not in str(judged(graph))
    assert said in str(judged(graph, verbose=True))
    assert said in judged(graph, verbose=True).to_html()


def test_unknown_operators_are_named() -> None:
    graph = model([layer_norm("norm")], unknown_operators={"torchvision::nms": 1, "my::op": 3})
    assert (
        "2 operators that nobody knows, torchvision::nms (1) and my::op (3): each may mix all it "
        "takes, so what is said here is weaker."
    ) in str(judged(graph)).splitlines()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (Samples(Word.PROBED), "no sample was seen to see another, by probing."),
        (
            Samples(Word.UNKNOWN, Through("gate", "", "aten.topk"), "an order decides"),
            "it is not known whether samples see each other, because of gate (aten.topk): "
            "an order decides.",
        ),
        (Samples(Word.MIXED), "samples see each other."),
    ],
)
def test_verdicts_on_samples(samples: Samples, said: str) -> None:
    graph = model([layer_norm("a")], samples={"training": samples, "inference": samples})
    assert f"In training and at inference, {said}" in str(judged(graph)).splitlines()


CONV = Maker("conv", 1, False, True, True, convolves=True)
LINEAR = Maker("proj", 1, False, True, True)


@pytest.mark.parametrize(
    ("site", "fires"),
    [
        (layer_norm("n", "b c h [w]", makers=(CONV,)), True),
        (layer_norm("n", "b [c] h w", makers=(CONV,)), False),
        (layer_norm("n", "b c [h w]", makers=(CONV,)), False),
        (layer_norm("n", "b c [s]", makers=(CONV,)), False),  # an instance norm of a sequence
        (layer_norm("n", "b c h [w]", makers=(LINEAR,)), False),  # tokens may be mixed so
        (layer_norm("n", "b c h [w]"), False),
        (layer_norm("n", "b c h [w]", makers=(CONV,), sample_axes=None), False),
        (replace(batch_norm("bn", 8, 6), makers=(replace(CONV, channel_axis=3),)), True),
        (replace(batch_norm("bn", 8, 6), makers=(CONV,)), False),
    ],
)
def test_statistics_along_the_wrong_axis(site: Site, fires: bool) -> None:
    findings = judged(model([site]), select=["NS102"]).findings
    assert bool(findings) is fires
    if fires:
        assert "conv puts the channels on axis" in findings[0].message


def test_the_axis_of_the_samples_need_not_be_the_first() -> None:
    spec = NormSpec("t [b] c")
    site = layer_norm("n", train=spec, infer=spec, sample_axes=(1,))
    assert site.samples_independent == {"train": False, "infer": False}
    assert judged(model([site]), select=["NS302"]).findings
    other = replace(site, sample_axes=(0,))
    assert other.samples_independent == {"train": True, "infer": True}
    assert not judged(model([other]), select=["NS302"]).findings
    assert replace(site, sample_axes=None).samples_independent == {"train": None, "infer": None}


def test_a_bias_before_a_norm_is_told_in_the_words_of_torch() -> None:
    site = replace(
        batch_norm("bn", 8, 6), makers=(Maker("conv", 1, True, True, True, convolves=True),)
    )
    (finding,) = judged(model([site]), select=["NS401"]).findings
    assert (finding.path, finding.fix) == ("bn", "give conv bias=False")


def test_two_places_in_one_layer_have_findings_of_their_own() -> None:
    eps = NormSpec("b s [c]", eps=0.0)
    sites = [layer_norm(""), layer_norm("", train=eps, infer=eps, source="net.py:9")]
    audit = judged(model(sites), select=["NS201"])
    assert str(audit).count("\nNS201 error") == 1
    (result,) = audit.to_sarif()["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "net.py"},
        "region": {"startLine": 9},
    }
