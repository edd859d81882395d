"""Several devices in one process, and several processes: each needs a fresh interpreter."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.framework

HERE = Path(__file__).parent


def environment(devices: int) -> dict[str, str]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # what is compiled runs once
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | quick


def test_four_devices_are_one() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, str(HERE / "four_devices.py")],
        capture_output=True,
        text=True,
        env=environment(4),
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_real_processes_are_one() -> None:
    processes = 4
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "several_processes.py"), str(port), str(processes), str(n)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(1),
        )
        for n in range(processes)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    for number, (process, text) in enumerate(zip(started, said, strict=True)):
        assert process.returncode == 0, text
        assert f"process {number} of {processes}: equal" in text
