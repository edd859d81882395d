"""Scripts as they were written in 2016 run with nothing changed but the name in their imports.

They are written anew, each of a kind that was common, and assert what they find: that a loss falls,
that a value is that of a formula. To Python they are data: `keras` in an import becomes
`normscope.keras1`, and the result is run as a program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from normscope.keras1 import backend as K  # noqa: N812  # as all scripts call it
from normscope.keras1.live.layers import phase

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.py"))

PACKAGE = re.compile(r"^(\s*)import keras\s*$", re.M)
IMPORT = re.compile(r"^(\s*)(from|import) keras\b(?=[. ]|$)", re.M)


def with_imports_changed(text: str) -> str:
    """The script with `normscope.keras1` in place of `keras`, in its imports alone.

    >>> print(with_imports_changed("import keras\\nfrom keras.layers import Dense  # of keras"))
    import normscope.keras1 as keras
    from normscope.keras1.layers import Dense  # of keras
    """
    text = re.sub(
        r"^(\s*)import keras\s*$", r"\1import normscope.keras1 as keras", text, flags=re.M
    )
    return IMPORT.sub(r"\1\2 normscope.keras1", text)


@pytest.fixture(autouse=True)
def settings_as_before() -> Iterator[None]:
    """Scripts set what holds for all: put it back."""
    ordering, floatx = K.image_dim_ordering(), K.floatx()
    keras.utils.set_random_seed(1337)  # the weights that layers begin with
    yield
    K.set_image_dim_ordering(ordering)
    K.set_floatx(floatx)
    phase.force(None)


def test_there_are_twenty_kinds() -> None:
    assert len(SCRIPTS) >= 20


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text(encoding="utf-8")
    assert "normscope" not in text
    assert len(IMPORT.findall(text)) >= 2
    monkeypatch.chdir(tmp_path)
    exec(compile(with_imports_changed(text), path, "exec"), {"__name__": "__main__"})
