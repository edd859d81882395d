"""The options that the benchmarks share."""

from __future__ import annotations

import argparse

DTYPES = ("float32", "float64", "float16", "bfloat16")


def parser(doc: str | None, seconds: float, cases: bool = True) -> argparse.ArgumentParser:
    """A parser whose description is the first line of the file.

    Args:
        doc: the docstring of the file.
        seconds: how long each table cell is measured, if nothing is said.
        cases: whether there are some to choose from.
    """
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    if cases:
        made.add_argument("--cases", nargs="+", help="words of their names; all without it")
    made.add_argument("--dtype", choices=DTYPES, default="float32")
    made.add_argument("--seconds", type=float, default=seconds, help="for each measurement")
    made.add_argument("--check", action="store_true", help="exit status 1 if a demand is not met")
    return made
