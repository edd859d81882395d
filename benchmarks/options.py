"""The options that the benchmarks share."""

from __future__ import annotations

import argparse

DTYPES = ("float32", "float64", "float16", "bfloat16")


def parser(
    doc: str | None, seconds: float | None, cases: bool = True, dtypes: int = 1
) -> argparse.ArgumentParser:
    """A parser whose description is the first line of the file.

    Args:
        doc: the docstring of the file.
        seconds: how long each table cell is measured, if nothing is said; None: there is no such
            option.
        cases: whether there are some to choose from.
        dtypes: how many may be given: 0, 1, or more.
    """
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    if cases:
        made.add_argument("--cases", nargs="+", help="words of their names; all without it")
    if dtypes == 1:
        made.add_argument("--dtype", choices=DTYPES, default="float32")
    elif dtypes:
        made.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32"])
    if seconds is not None:
        made.add_argument("--seconds", type=float, default=seconds, help="for each measurement")
    made.add_argument("--check", action="store_true", help="exit status 1 if a demand is not met")
    return made
