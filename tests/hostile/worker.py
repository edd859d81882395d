"""A process that runs the command on one file after the other, and watches what it does.

Each line of its input is a job in JSON: the arguments, the folder that may be read. Each line that
it writes is what came of it: status, output, and whatever was done that no file may cause. Files
that C code opens raise no event of Python: those in the folder outside are seen by the kernel.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import resource
import struct
import sys
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path
from types import CodeType
from typing import Any

import normscope

CANARY = "normscope_canary"
"""A module that hostile files name; it is on the path, and nothing may import it."""

_PROCESSES = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile"),
    *("subprocess.", "pty.", "socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser."),
    *("imaplib.", "poplib.", "nntplib.", "telnetlib.", "syslog.", "ctypes.dlopen"),
)
_CHANGES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("os.chown", "os.truncate", "os.utime", "os.setxattr", "shutil.", "os.chflags", "os.lchmod"),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IN_OPEN, _IN_CREATE, _IN_DELETE, _IN_MODIFY = 0x20, 0x100, 0x200, 0x2
_NONBLOCK = 0o4000


class Guard:
    """Notes what happens while a file is read."""

    def __init__(self, outside: Path, scratch: Path) -> None:
        self.armed = False
        self.folder = ""
        self.events: list[str] = []
        self.scratch = os.path.realpath(scratch)
        own = Path(normscope.__file__).parent
        paths = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, str(own), *sys.path}
        named = [os.path.realpath(path) for path in paths if path]
        self.readable = (*(p for p in named if p != "/"), "/proc", "/sys", "/dev/null")
        self.readable += (str(Path(__file__).parent),)  # which tracebacks show
        self.readable += ("/dev/urandom", "/usr/lib", "/usr/share", "/lib", "/etc/ld.so.cache")
        self.caches = tuple(os.path.join(path, "") for path in (str(own), sys.prefix))
        self.watch = _Watch(outside)
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Of Python: called before whatever it regards as worth telling."""
        if not self.armed:
            return
        if event == "open":
            self._open(*arguments)
        elif event.startswith(_PROCESSES):
            self._note(f"{event} {arguments!r:.200}")
            raise PermissionError(f"{event} in a test of hostile files")
        elif event.startswith(_CHANGES):
            self._change(event, arguments)
        elif event == "import":
            if str(arguments[0]).split(".")[0] == CANARY:
                self._note(f"import {arguments[0]}")
        elif event == "exec":
            self._code(arguments[0])
        elif event == "compile":
            if CANARY in f"{arguments[0]!r}":
                self._note("compile of code in a file")
        elif event in ("pickle.find_class", "marshal.loads", "marshal.load"):
            self._loads(event, arguments)

    def _note(self, text: str) -> None:
        self.events.append(text)

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        real = os.path.realpath(os.fsdecode(path))
        if _under(real, self.scratch) or real == os.devnull:
            return
        if isinstance(flags, int) and flags & _WRITING:
            if not (real.startswith(self.caches) and "__pycache__" in real):
                self._note(f"open for writing {real}")
        elif not (_under(real, self.folder) or any(_under(real, p) for p in self.readable)):
            self._note(f"open {real}")

    def _change(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("shutil."):
            self._note(f"{event} {arguments!r:.200}")
            return
        paths = [one for one in arguments if isinstance(one, str | bytes)]
        for path in paths:
            real = os.path.realpath(os.fsdecode(path))
            cache = real.startswith(self.caches) and "__pycache__" in real
            if not _under(real, self.scratch) and not cache:
                self._note(f"{event} {real}")

    def _code(self, code: Any) -> None:
        if not isinstance(code, CodeType):
            return
        file = code.co_filename
        names = (*code.co_names, *map(repr, code.co_consts))
        if any(CANARY in name for name in names) or _under(os.path.realpath(file), self.folder):
            self._note(f"exec of {code.co_name} in {file}")

    def _loads(self, event: str, arguments: tuple[Any, ...]) -> None:
        frame = sys._getframe(2)
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name.startswith(("importlib.", "_frozen_importlib", "copy", "jax.")):
                return
            frame = frame.f_back  # type: ignore[assignment]
        self._note(f"{event} {arguments!r:.100}")


def _under(path: str, folder: str) -> bool:
    return bool(folder) and (path == folder or path.startswith(folder.rstrip("/") + "/"))


class _Watch:
    """What the kernel tells of a folder, where it can."""

    def __init__(self, folder: Path) -> None:
        self.handle = -1
        if not sys.platform.startswith("linux"):
            return
        library = ctypes.CDLL(None, use_errno=True)
        self.handle = library.inotify_init1(_NONBLOCK)
        wanted = _IN_OPEN | _IN_CREATE | _IN_DELETE | _IN_MODIFY
        for own in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            library.inotify_add_watch(self.handle, os.fsencode(own), wanted)

    def seen(self) -> list[str]:
        """What was done since the last call."""
        try:
            data = os.read(self.handle, 65536) if self.handle >= 0 else b""
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode("utf-8", "replace")
            at += 16 + length
            done = {_IN_OPEN: "opened", _IN_CREATE: "made", _IN_DELETE: "removed"}
            word = next((w for bit, w in done.items() if mask & bit), "changed")
            if name:  # a list of the folder is no file
                found.append(f"{word} outside: {name}")
        return sorted(set(found))


def run(job: dict[str, Any], guard: Guard) -> dict[str, Any]:
    """One command."""
    from normscope import cli

    streams = [tempfile.TemporaryFile(dir=guard.scratch) for _ in range(2)]  # noqa: SIM115
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", write_through=True)
        for number in (1, 2)
    )
    sys.argv = ["normscope", *job["arguments"]]
    guard.folder, guard.events = os.path.realpath(job["folder"]), []
    guard.watch.seen()
    gc.collect()
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    begin, begin_wall = time.process_time(), time.monotonic()
    status: Any = "it came back"
    _limit_memory()
    guard.armed = not job["trusted"]
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code
    except BaseException as error:
        status = f"{type(error).__name__}: {error!s:.200}"
    finally:
        guard.armed = False
    result = {
        "status": status,
        "seconds": time.process_time() - begin,
        "wall": time.monotonic() - begin_wall,
        "memory": _memory("VmHWM") - before,
        "events": guard.events + guard.watch.seen(),
    }
    for name, stream in zip(("out", "err"), streams, strict=True):
        stream.seek(0)
        text = stream.read()
        stream.close()
        result[name] = text.decode("utf-8", "backslashreplace")
    return result


def _limit_memory() -> None:
    """Let it take 3 GiB more, so that a fault is found before the machine stands still."""
    if sys.platform.startswith("linux"):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + 3 * 2**30, most))


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Do jobs until there are no more."""
    outside, scratch = map(Path, sys.argv[1:3])
    tempfile.tempdir = str(scratch)
    sys.path.append(str(outside))  # where the canary is
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    guard = Guard(outside, scratch)
    warm = False
    warnings.simplefilter("always", RuntimeWarning)
    for line in sys.stdin:
        job = json.loads(line)
        if not (job["trusted"] or warm):  # the frameworks are loaded, and stay: not to be looked
            warm = True  # through again after each file
            gc.collect()
            gc.freeze()
        answers.write(json.dumps(run(job, guard)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
