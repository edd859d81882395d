"""Each framework has one row, which says truly what its folder holds; none is imported for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import normscope.frameworks
from normscope.frameworks.live import Live
from normscope.frameworks.registry import FRAMEWORKS, Framework, Kind, kind_of

FOLDER = Path(normscope.frameworks.__file__).parent
BY_NAME = {framework.name: framework for framework in FRAMEWORKS}


def problems(framework: Framework) -> list[str]:
    """What a row says that its folder does not hold, and what it leaves out."""
    found = []
    for kind in framework.kinds:
        live = framework.part(kind.live)
        if not (isinstance(live, type) and issubclass(live, Live)):
            found.append(f"{kind.live} is not a Live")
        if kind.state and not callable(framework.part(kind.state)):
            found.append(f"{kind.state} makes no state")
    said = {
        "presets:PRESETS": framework.presets,
        "settings:from_layer": framework.settings,
        "arrays:like": bool(framework.arrays),
    }
    for place, holds in said.items():
        if is_there(framework, place) != holds:
            found.append(f"{place}: the row says {holds}")
    return found


def is_there(framework: Framework, place: str) -> bool:
    try:
        framework.part(place)
    except (ModuleNotFoundError, AttributeError):
        return False
    return True


@pytest.mark.framework
@pytest.mark.parametrize("name", BY_NAME)
def test_a_row_is_true(name: str) -> None:
    assert problems(BY_NAME[name]) == []


@pytest.mark.framework
def test_a_wrong_row_is_noticed() -> None:
    haiku = BY_NAME["haiku"]
    assert problems(replace(haiku, presets=True)) == ["presets:PRESETS: the row says True"]
    kind = replace(haiku.kinds[0], live="live:MODE_KEYWORDS")
    assert problems(replace(haiku, kinds=(kind,))) == ["live:MODE_KEYWORDS is not a Live"]
    assert problems(replace(BY_NAME["torch"], settings=False)) == [
        "settings:from_layer: the row says False"
    ]


def test_each_folder_has_a_row() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert folders - set(BY_NAME) <= {"function", "native"}  # of no framework, and what all share


def of(*bases: type, module: str, name: str) -> type:
    """A class as a framework would have it."""
    return type(name, bases, {"__module__": module})


def test_an_object_is_known_by_its_classes() -> None:
    torch = of(module="torch.nn.modules.module", name="Module")
    keras = of(torch, module="keras.src.layers.layer", name="Layer")
    own = of(keras, module="mine", name="Layer")
    for cls, expected in ((torch, "torch"), (keras, "keras"), (own, "keras")):
        found = kind_of(cls())
        assert found is not None
        assert found[0].name == expected
        assert kind_of((cls(), {})) == found
    for other in (of(module="mine", name="Module")(), 3, (), [], None, torch):
        assert kind_of(other) is None


def test_no_framework_is_imported_for_it() -> None:
    code = """
import sys
from normscope.frameworks.registry import FRAMEWORKS, kind_of
for framework in FRAMEWORKS:
    for kind in framework.kinds:
        cls = type(kind.names[0], (), {"__module__": kind.home})
        assert kind_of(cls())[0] is framework, framework.name
print(sorted({"torch", "keras", "jax", "flax", "onnx", "haiku", "equinox"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_new_framework_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Framework("toy", (Kind("toy.layers", ("Layer",), "live:ToyLive"),))
    monkeypatch.setattr("normscope.frameworks.registry.FRAMEWORKS", (*FRAMEWORKS, toy))
    layer = of(module="toy.layers.base", name="Layer")()
    assert kind_of(layer) == (toy, toy.kinds[0])
