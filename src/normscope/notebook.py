"""Results as they look where they are typed: summaries of arrays, and HTML cells for notebooks.

Cells take their colours from the page, so that they can be read on light and on dark. Whatever is
put into them is escaped: names of layers and files are anybody's text.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

_EDGE = 3
"""So many values are shown of each end of a long array."""

_STYLE = (
    ".normscope-result{color:inherit;background:transparent}"
    ".normscope-result pre{color:inherit;background:transparent;margin:.4em 0 0;white-space:pre;"
    "overflow-x:auto;line-height:1.35}"
    ".normscope-result table{border-collapse:collapse;margin:.4em 0 0}"
    ".normscope-result th,.normscope-result td{text-align:left;vertical-align:top;"
    "padding:.15em 1em .15em 0;border:0;background:transparent;color:inherit}"
)

Rows = Iterable[tuple[str, str]]
"""Names, and what is said of each."""


class Report:
    """Base class of results whose text is a report: it is what a prompt and a notebook show."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        headline, _, rest = str(self).partition("\n")
        return _cell(headline, f"<pre>{escape(rest)}</pre>" if rest else "")


def text_of(headline: str, rows: Rows) -> str:
    """A headline, and under it a line for each row.

    >>> print(text_of("Stats", [("mean", "float64, shape (1,): 0.5"), ("var", "1")]))
    Stats
      mean  float64, shape (1,): 0.5
      var   1
    """
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    return "\n".join([headline, *(f"  {name:{width}}  {said}" for name, said in listed)])


def html_of(headline: str, rows: Rows) -> str:
    """A cell with a table of the rows.

    >>> "<td>&lt;b&gt;</td>" in html_of("Stats", [("mean", "<b>")])
    True
    """
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in rows
    )
    return _cell(headline, f"<table><tbody>{lines}</tbody></table>")


def _cell(headline: str, body: str) -> str:
    return (
        f'<div class="normscope-result"><style>{_STYLE}</style>'
        f"<strong>{escape(headline)}</strong>{body}</div>"
    )


def rows_of(arrays: Any) -> list[tuple[str, str]]:
    """A row for each array of a named tuple."""
    return [(name, summarized(getattr(arrays, name))) for name in arrays._fields]


def summarized(array: Any) -> str:
    """Dtype, shape and the first and last values of an array; None is called so.

    >>> summarized(np.arange(100.0).reshape(4, 25))
    'float64, shape (4, 25): 0, 1, 2, ..., 97, 98, 99'
    >>> summarized(np.zeros((0, 3), np.float32)), summarized(None)
    ('float32, shape (0, 3): no values', 'none')
    """
    if array is None:
        return "none"
    head = f"{array.dtype}, shape {tuple(array.shape)}"
    size = int(np.prod(array.shape, dtype=np.int64))
    if size == 0:
        return f"{head}: no values"
    flat = array.ravel() if size <= 2 * _EDGE else None
    if flat is None:
        places = [*range(_EDGE), *range(size - _EDGE, size)]
        flat = [array[np.unravel_index(place, array.shape)] for place in places]
    values = [_number(value) for value in flat]
    if size > 2 * _EDGE:
        values.insert(_EDGE, "...")
    return f"{head}: {', '.join(values)}"


def _number(value: Any) -> str:
    found = np.asarray(value)
    return f"{found.astype(np.float64):.5g}" if found.dtype.kind not in "biu" else f"{found}"
