"""Beyond input and output, a call needs less than 1 MiB and the statistics.

Statistics are 4 numbers of 8 bytes for each set (count, mean, v, divisor), and the same again while
gradients are taken (6 sums, mean, rstd); outputs are also the gradients of the parameters.

In a process of its own, whose peak of resident memory is set back before each call: that counts
everything, also what is not NumPy's. `tracemalloc` counts what NumPy asked for and never touched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="only Linux can set the peak back"
    ),
]

MEASURE = """
import json, os, sys, tracemalloc
import numpy as np
from normscope import gradients, normalize, spec

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10

def extra(call):
    call()  # compiles
    found = []
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    call()
    found.append(peak() - before)
    tracemalloc.start()
    call()
    found.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    return found

for case in json.loads(sys.argv[1]):
    if os.fork() == 0:
        break  # each case goes on below, in a process that has imported all and called nothing
    assert os.wait()[1] == 0
else:
    sys.exit()
pattern, along, form, dtype, channels, samples = case
width = (64 << 10) // np.dtype(dtype).itemsize // int(channels)
x = np.ones((int(samples), 64, width, int(channels)), dtype)
x[::3] = 2
if form == "transposed":
    x = x.transpose(0, 3, 1, 2)
elif form == "sliced":
    x = x[:, ::-2, 3:-3]
elif form == "broadcast":
    x = np.broadcast_to(x[:, :1], x.shape)
more = {}
out = np.empty_like(x)
if form == "overlapping":
    out = x[::-1]
if form == "mask":
    more["mask"] = (np.arange(len(x)) < len(x) - 3)[:, None, None, None]
if form == "residual":
    more["residual"] = x
out[...] = 0
stated = spec(pattern, scale=along, bias=along)
layout = stated.layout(x.shape)
learned = {"scale": np.ones([layout.known_sizes[i] for i in layout.named(along)], np.float32)}
_, stats = normalize(x, stated, out=out, return_stats=True)
print(json.dumps({
    "per set": stats.mean.nbytes,
    "parameters": 2 * 8 * learned["scale"].size,
    "forward": extra(lambda: normalize(x, stated, out=out, **learned, **more)),
    "forward with stats": extra(
        lambda: normalize(x, stated, out=out, return_stats=True, **learned, **more)),
    "backward": extra(lambda: gradients(
        x, x, stated, mean=stats.mean, rstd=stats.rstd, out=out, **learned,
        mask=more.get("mask"))),
}), flush=True)
"""

CASES = [
    ("[b h w] c", "c", "contiguous", "float32"),
    ("[b] c [h w]", "c", "transposed", "float32"),
    ("b h w [c]", "c", "contiguous", "float32"),
    ("b [h w] c", "c", "contiguous", "float32"),
    ("b [h w c]", "h w c", "contiguous", "float32"),
    ("[b h w] c", "c", "sliced", "float32"),
    ("[b h w] c", "c", "broadcast", "float32"),
    ("[b h w] c", "c", "mask", "float32"),
    ("b h w [c]", "c", "mask", "float32"),
    ("[b h w] c", "c", "residual", "float32"),
    ("[b h w] c", "c", "contiguous", "float16"),
    ("b h w [c]", "c", "contiguous", "float16"),
    ("b h [w] c", "c", "contiguous", "float64"),
]


# Sums of parts of a set, many columns of them; the last has as many columns as are split at all.
WIDE_CASES = [
    *(
        ("[b h w] c", "c", "contiguous", dtype, str(channels))
        for dtype in ("float32", "float64")
        for channels in (512, 1024, 1792, 4096, 8192)
    ),
    ("[b h w] c", "c", "contiguous", "float32", "16384"),
    ("b [h w c]", "h w c", "contiguous", "float32", "4096"),
]


SAMPLES = 16
"""Of 4 MiB: an array of 64 MiB is streamed, as any larger one is."""

GROUPS = {
    "usual": [(*case, "256", SAMPLES) for case in CASES],
    "wide": [(*case, SAMPLES) for case in WIDE_CASES],
}


def measured(*cases: tuple[str | int, ...]) -> list[dict[str, list[int]]]:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("group", GROUPS)
def test_extra_memory(group: str) -> None:
    too_much = []
    for case, found in zip(GROUPS[group], measured(*GROUPS[group]), strict=True):
        per_set = found.pop("per set")
        limits = dict.fromkeys(("forward", "forward with stats"), MIB + 4 * per_set)
        limits["backward"] = MIB + 8 * per_set + found.pop("parameters")
        too_much += [
            (*case, name, *(f"{size / MIB:.2f} MiB" for size in sizes))
            for name, sizes in found.items()
            if max(sizes) > limits[name]
        ]
    assert too_much == []


def test_a_temporary_of_the_size_of_the_input_is_noticed() -> None:
    """The twin: an output that overlaps the input makes a copy, here too large to be kept."""
    (found,) = measured(("[b h w] c", "c", "overlapping", "float32", "256", 64))
    assert min(found["forward"]) > 200 * MIB
