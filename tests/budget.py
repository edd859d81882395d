"""Limits against work that grows out of hand, far above what is usual on any machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def budget(seconds: float = 10) -> Iterator[None]:
    """Fail if what is inside takes more processor time, which other work hardly stretches."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds
