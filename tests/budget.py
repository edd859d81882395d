"""Limits against work that grows out of hand, far above what is usual on any machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def budget(seconds: float = 30) -> Iterator[None]:
    """Fail if what is inside takes more processor time, which other work hardly stretches.

    What other tests have left in memory is not collected meanwhile: with three frameworks loaded
    that takes longer than the work that is measured.
    """
    gc.freeze()
    try:
        begin = time.process_time()
        yield
        assert time.process_time() - begin < seconds
    finally:
        gc.unfreeze()
