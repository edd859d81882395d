"""All benchmarks one after the other; see the top of the package."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import benchmarks
from benchmarks.processes import ROOT

PARTS = ("first_call", "rows", "paces", "large --readme", "backward", "sizes", "fitting")
HAVE_DEMANDS = PARTS[:-1]


def main() -> int:
    """Run them; with --check, the exit status is 1 if one of them misses a demand."""
    parser = argparse.ArgumentParser(
        description=benchmarks.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit status 1 if a demand is not met")
    check = parser.parse_args().check
    failed = []
    for part in PARTS:
        name, *options = part.split()
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        command += ["--check"] if check and part in HAVE_DEMANDS else []
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    if failed:
        print(f"not as demanded, or failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
