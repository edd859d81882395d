"""Reports begin with the answer: what each layer normalizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keras1_models import conv, dense, norm, sequential, write_json
from normscope import audit, explain
from normscope.explain.reports.sentence import what_is_normalized

ROOT = Path(__file__).parents[3]
IMAGES = (None, 3, 8, 6)
FIRST = "Each of the 8 normalization layers normalizes one image row of 56 pixels on its own."


def test_the_founding_report_opens_with_the_answer() -> None:
    report = audit(ROOT / "examples" / "seed_network_full_th.json")
    assert str(report).splitlines()[0] == FIRST
    page = report.to_html()
    body = page[page.index("</h1>") :]
    assert body.index(FIRST) < body.index("NS103")


@pytest.mark.parametrize(
    ("layers", "sentences"),
    [
        ([dense()], ["There is no normalization layer in this model."]),
        (
            [conv(), norm(mode=1, name="n")],
            ["n normalizes one image row of 6 pixels on its own."],
        ),
        (
            [conv(), norm(axis=1, name="a"), norm(mode=1, name="b"), norm(axis=1, name="c")],
            [
                "2 of the 3 layers (a, ...) each normalize one channel over the whole batch; "
                "at inference it uses stored statistics.",
                "b normalizes one image row of 6 pixels on its own.",
            ],
        ),
    ],
)
def test_the_answer(tmp_path: Path, layers: list[Any], sentences: list[str]) -> None:
    shape = (None, 5) if layers[0][0] == "Dense" else IMAGES
    report = audit(write_json(tmp_path / "m.json", sequential(shape, *layers)))
    opening = str(report).splitlines()[: len(sentences)]
    assert sorted(opening) == sorted(sentences)


@pytest.mark.parametrize(
    ("pattern", "shape", "phrase"),
    [
        ("b c [h] w", (8, 3, 5, 6), "one image column of 5 pixels on its own"),
        ("b [c] h w", (8, 3, 5, 6), "one pixel on its own, over its 3 channels"),
        ("b [c h w]", (8, 3, 5, 6), "one sample on its own, as a whole: 90 values"),
        ("b c [h w]", (8, 3, 5, 6), "one channel of one sample on its own: 30 pixels"),
        (
            "b c [h w]",
            (8, 3, None, 6),
            "one channel of one sample on its own: all pixels (h and w)",
        ),
        ("[b] c", (8, 3), "one feature over the whole batch: 8 values"),
        ("b [c]", (None, 3), "one sample on its own, as a whole: 3 features"),
        ("b [t] c", (8, 7, 3), "one channel of one sample on its own: 7 time steps"),
        ("[b c h] w", (8, 3, 5, 6), "all of b, c and h, for one w: 120 (8 × 3 × 5) values"),
        ("b (g [c])", (8, 6), "all of c, for one b and one g: 3 values"),
        ("b c h [w]", (8, 3, 5, 1), "all of w, for one b, one c and one h: 1 value"),
        ("[p] q", (8, 3), "all of p, for one q: 8 values"),
    ],
)
def test_what_is_normalized_in_words(pattern: str, shape: Any, phrase: str) -> None:
    sizes = {"g": 2} if "g" in pattern else {}
    assert what_is_normalized(explain(pattern, shape, **sizes)) == phrase
