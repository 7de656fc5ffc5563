"""Interrupts of a program that is still being loaded: Ctrl-C ends it with the exit code for that, and no traceback.

Loading takes 0.3 s, in which nothing has begun. Imports nothing that takes time itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT


@contextmanager
def quiet_while_loading() -> Iterator[None]:
    """Within the block Ctrl-C ends the process at once; after it, it is a KeyboardInterrupt again. Where it is ignored,
    as in the background of a shell, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED_EXIT_CODE))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
