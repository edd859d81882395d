"""Which machine it was: a figure says little without it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from normscope.kernels import library

CPU = Path("/sys/devices/system/cpu/cpu0/cache")
PACKAGES = ("normscope", "numpy", "torch", "jax", "keras", "scikit-learn")


def cores() -> int:
    """How many cores this process may use, as normscope and its peers see it too."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_of_a_core() -> int:
    """Bytes of its second level; how much of the last one it may use is known to nobody."""
    return caches().get("L2", 2 << 20)


def caches() -> dict[str, int]:
    """Bytes of each level of data caches, as the system tells them."""
    found = {}
    for index in sorted(CPU.glob("index*")):
        said = {
            name: (index / name).read_text().strip()
            for name in ("level", "type", "size")
            if (index / name).exists()
        }
        if said.get("type") != "Instruction" and "size" in said:
            found[f"L{said['level']}"] = int(said["size"].removesuffix("K")) << 10
    return found


def description() -> str:
    """Processor, kernels, caches, cores and versions, a line each."""
    sizes = ", ".join(f"{name} {nbytes >> 10} KiB" for name, nbytes in caches().items())
    return "\n".join(
        (
            f"processor  {_processor()}, {platform.machine()}",
            f"kernels    {kernels()}",
            f"caches     {sizes or 'unknown'}",
            f"cores      {cores()} for this process, of {os.cpu_count()}",
            f"system     {platform.platform()}, Python {platform.python_version()}",
            f"versions   {', '.join(_versions())}",
        )
    )


def _processor() -> str:
    return _said("model name") or platform.processor() or "unknown processor"


def kernels() -> str:
    """The level of processors for which the kernels in use were compiled."""
    return f"level {library.level()}" if library.kernels_built() else library.why_none()


def _said(name: str) -> str:
    """What Linux says of the first processor."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _versions() -> list[str]:
    found = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return [f"{name} {found[name]}" for name in PACKAGES if name in found]


def main() -> None:
    """Print it."""
    print(description())


if __name__ == "__main__":
    main()
