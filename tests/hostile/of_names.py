"""Names that a screen or a browser would obey, in every form of report and in messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hostile import of_hdf5, of_keras, of_onnx, of_pt2, of_safetensors
from hostile.case import Expected, Family, Place

FAMILY = Family("names")

FORMATS = ("text", "json", "html", "sarif", "junit")

NAMES: dict[str, str] = {
    "escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "markup": "[bold red]x[/] [link=http://localhost:9]y[/link]",
    "HTML": "</script></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'>",
    "line breaks": "a\n::error file=x::b\r\n  c\u2028d\u2029e\x85f",
    "NUL": "a\0b\x01\x02",
    "right to left": "\u202egnp.exe\u2066\u200f",
    "templates": "{{7*7}}{% raw %}${x}%s%n{0.__class__}",
    "]]>": "]]><x/>&evil;<!--",
    "half of a letter": "a\\ud800b",
    "spaces": " \t\u00a0\u3000 ",
    "1 MB": "n" * 10**6,
}


def _safetensors(place: Place, name: str) -> Path:
    header = json.dumps(of_safetensors.norm(name)).replace("\\\\ud800", "\\ud800")
    return place.file("model.safetensors", of_safetensors.file(header.encode()))


def _onnx(place: Place, name: str) -> Path:
    own = name.replace("\\ud800", "")
    arrays = [of_onnx.array(f"{own}s", np.ones(3, "f4")), of_onnx.array("b", np.zeros(3, "f4"))]
    nodes = [of_onnx.node("InstanceNormalization", [own, f"{own}s", "b"], ["y"], name=f"/{own}/n")]
    inputs = [of_onnx.value(own, (2, 3, 8, 8))]
    model = of_onnx.model_of(nodes, arrays=arrays, inputs=inputs)
    return place.file("net.onnx", model.SerializeToString())


def _keras(place: Place, name: str) -> Path:
    model = of_keras.model3(of_keras.norm3())
    model["config"]["layers"][1]["config"]["name"] = name.replace("/", "|")
    return place.file("m.json", json.dumps(model).replace("\\\\ud800", "\\ud800"))


def _keras_weights(place: Place, name: str) -> Path:
    model = of_hdf5.model2()
    model["config"]["layers"][1]["config"]["name"] = name.replace("/", "|").replace("\\ud800", "")
    return of_hdf5.keras2(place.folder / "m.h5", model)


def _exported(place: Place, name: str) -> Path:
    model = of_pt2.program()
    own = name.replace(",", "").replace(";", "").replace("\\ud800", "")
    nodes = model["graph_module"]["graph"]["nodes"]
    nodes[1]["metadata"]["nn_module_stack"] = f"L__self__,,N;L{own},{own},torch.nn.{own}"
    return of_pt2.file(place, model)


KINDS: dict[str, Callable[[Place, str], Path]] = {
    "safetensors": _safetensors,
    "ONNX": _onnx,
    "Keras 3": _keras,
    "Keras 2": _keras_weights,
    "an exported program": _exported,
}


def _add() -> None:
    for number, (what, name) in enumerate(NAMES.items()):
        for place_in, (kind, make) in enumerate(KINDS.items()):
            # each pair of a name and a form of report once, each file in two forms
            chosen = {FORMATS[(number + place_in) % 5], FORMATS[(number + 2 * place_in + 1) % 5]}
            for form in sorted(chosen):

                def write(
                    place: Place,
                    make: Callable[[Place, str], Path] = make,
                    name: str = name,
                    form: str = form,
                ) -> Sequence[str | Path]:
                    return ["audit", make(place, name), "--format", form]

                # a NUL, half a letter or only spaces may be no name at all
                FAMILY.add(f"{what} in {kind}, as {form}", write, Expected.EITHER)


_add()


def _file_names() -> None:
    for form in FORMATS:

        def write(place: Place, form: str = form) -> Sequence[str | Path]:
            name = "m\x1b[2J\n<script>alert(1)<\\script>\u202e.safetensors"
            path = place.file(name, of_safetensors.file(of_safetensors.norm()))
            return ["audit", path, "--format", form]

        FAMILY.add(f"a file, as {form}", write, Expected.READ)


_file_names()


@FAMILY.hostile("an input that is not given")
def _input(place: Place) -> Sequence[str | Path]:
    return ["audit", _onnx(place, NAMES["line breaks"]), "--input", "q=2,3,8,8"]


@FAMILY.odd("an input of another shape")
def _shape(place: Place) -> Sequence[str | Path]:
    return ["audit", _onnx(place, NAMES["line breaks"]), "--shape", "2,4,8,8"]


@FAMILY.hostile("an input too many")
def _too_many(place: Place) -> Sequence[str | Path]:
    return ["audit", _onnx(place, NAMES["escapes"]), "--shape", "2,3", "--shape", "2,3"]


@FAMILY.hostile("a rule that there is not")
def _rule(place: Place) -> Sequence[str | Path]:
    return ["audit", _onnx(place, "x"), "--ignore", "NS\n\x1b[2J"]


@FAMILY.hostile("a format that there is not")
def _format(place: Place) -> Sequence[str | Path]:
    return ["audit", _onnx(place, "x"), "--baseline", f"{place.folder}/no\n\x1b[2J.json"]


def _settings(name: str, text: str) -> None:
    def write(place: Place) -> Sequence[str | Path]:
        settings = place.file("pyproject.toml", text)
        return ["audit", _onnx(place, "x"), "--config", settings]

    FAMILY.add(f"settings {name}", write, Expected.REFUSED)


_settings("of a key with escapes", '[tool.normscope]\n"a\\n\\u001b[2J" = 1\n')
_settings("that are no TOML", "[tool.normscope\n\x1b[2J")
_settings("of a rule with escapes", '[tool.normscope]\nselect = ["a\\n\\u001b[2J"]\n')
_settings(
    "of an allowance with escapes", '[tool.normscope.allow]\n"a\\nb" = ["x\\n\\u001b[2J: y\\nz"]\n'
)
_settings("nested deep", "[tool.normscope]\nx = " + "[" * 50_000)


def _baselines() -> None:
    texts = {
        "that is no JSON": "{",
        "of a list": "[1]",
        "nested deep": "[" * 100_000,
        "of names with escapes": json.dumps(
            {"version": 1, "findings": [{"code": "a\n\x1b[2J", "path": "b\n", "message": "c"}]}
        ),
        "of another version with escapes": json.dumps({"version": "\n\x1b[2J"}),
        "of NaN": '{"version": NaN}',
    }
    for name, text in texts.items():

        def write(place: Place, text: str = text) -> Sequence[str | Path]:
            known = place.file("known.json", text)
            return ["audit", _onnx(place, "x"), "--baseline", known]

        FAMILY.add(f"a baseline {name}", write, Expected.REFUSED)


_baselines()


@FAMILY.hostile("a baseline that is a pipe")
def _pipe(place: Place) -> Sequence[str | Path]:
    import os

    os.mkfifo(place.folder / "known.json")
    return ["audit", _onnx(place, "x"), "--baseline", place.folder / "known.json"]
