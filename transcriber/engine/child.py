"""Process of the engine: `python -m transcriber.engine.child FD`, started by process.py and by nobody else.

It serves one socket and ends with it, at once and whatever its threads are doing. Signals that people send to a group
of processes are the parent's business.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import NoReturn

import numpy as np
import structlog

from common.audio.pcm import SAMPLE_RATE
from common.logging import configure_logging, drain_log
from transcriber.config import Settings
from transcriber.core.windows import Window
from transcriber.engine import ipc
from transcriber.engine.base import Engine, ModelError, checked, error_report, named

PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal to get when the parent ends."""
SHORT_WINDOW = Window(np.zeros(SAMPLE_RATE, np.int16))
"""Silence that every engine that works can decode."""
FULL_WINDOW = Window(SHORT_WINDOW.samples, careful=True, full=True)

log = structlog.get_logger(__name__)


class Child:
    """One engine and the threads that share it.

    Args:
        line: To the parent.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._sending = threading.Lock()
        self._requests: SimpleQueue[ipc.BatchRequest] = SimpleQueue()  # at most as many as there are threads

    def serve(self) -> NoReturn:
        """Until the parent closes the socket or is gone. This thread only reads, so that it hears of that at once."""
        with suppress(OSError):
            frames = self._line.makefile("rb")
            settings: Settings = ipc.read(frames)
            threading.Thread(target=self._work, args=(settings,), name="load", daemon=True).start()
            while (request := ipc.read(frames)) is not None:
                self._requests.put(request)
        drain_log()
        os._exit(0)  # what is being decoded is of no use to anybody

    def _work(self, settings: Settings) -> None:
        configure_logging(settings.log_level, [settings.api_key] if settings.api_key else [])
        try:
            engine: Engine = named(settings.factory)(settings)
            ready = described(engine, settings.engine)
        except ModelError as error:
            self._send(ipc.EngineUnusable(str(error)))
        except (Exception, SystemExit) as error:
            log.exception("engine.unusable", engine=settings.engine)
            problem = f"The engine {settings.engine} did not start: {type(error).__name__}: {error}"
            self._send(ipc.EngineUnusable(problem))
        else:
            self._send(ready)
            for number in range(settings.parallel):
                threading.Thread(target=self._decode, args=(engine,), name=f"decode-{number}", daemon=True).start()

    def _decode(self, engine: Engine) -> None:
        while True:
            request = self._requests.get()
            try:
                heard = checked(engine.transcribe(request.windows), len(request.windows))
                self._send(ipc.BatchResult(request.number, heard))
            except Exception as error:  # whatever these windows do to the engine, the others go on
                self._send(self._failed(engine, request, error))

    def _failed(
        self, engine: Engine, request: ipc.BatchRequest, error: Exception
    ) -> ipc.BatchFailure | ipc.EngineBroken:
        """Whether it was these windows, or the engine can do nothing of the kind, as after an error of a GPU."""
        hardest = max(request.windows, key=lambda window: (window.full, window.careful, len(window.samples)))
        silence = replace(hardest, samples=np.zeros_like(hardest.samples), prompt=None, before=None)
        try:
            seconds(engine, silence)
        except Exception:
            return ipc.EngineBroken(error_report(error))
        return ipc.BatchFailure(request.number, error_report(error))

    def _send(self, message: object) -> None:
        with self._sending, suppress(OSError):  # a parent that is gone is noticed where it is read
            self._line.sendall(ipc.pack(message))


def described(engine: Engine, name: str) -> ipc.EngineReady:
    """What is told of a new engine, once it has decoded something. Raises ModelError, and what the engine raises."""
    wants = {
        "name": "a text",
        "languages": "a frozenset of codes",
        "batch": "1 or more",
        "full_batch": "1 or more",
        "longest_window": "seconds, 30 at most",
    }
    given = {key: getattr(engine, key, None) for key in wants}
    right = {
        "name": isinstance(given["name"], str),
        "languages": isinstance(given["languages"], frozenset) and bool(given["languages"]),
        "batch": isinstance(given["batch"], int) and given["batch"] >= 1,
        "full_batch": isinstance(given["full_batch"], int) and given["full_batch"] >= 1,
        "longest_window": isinstance(given["longest_window"], int | float) and 0 < given["longest_window"] <= 30,
    }
    if wrong := [f"`{key}` ({wants[key]}) is {given[key]!a}" for key, is_right in right.items() if not is_right]:
        raise ModelError(f"The engine {name} is not whole: {', '.join(wrong)} (docs/transcriber-engines.md).")
    fetching = float(getattr(engine, "fetching_s", 0.0))
    took = [seconds(engine, window) for window in (SHORT_WINDOW, FULL_WINDOW)]
    return ipc.EngineReady(
        engine.name, engine.languages, engine.batch, engine.full_batch, engine.longest_window, fetching, *took
    )


def seconds(engine: Engine, window: Window) -> float:
    """What decoding a window takes. Raises what the engine raises, and EngineFailed."""
    started = time.perf_counter()
    checked(engine.transcribe([window]), 1)
    return time.perf_counter() - started


def main() -> None:
    """Serves the socket that is named on the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":  # ends this process even when native code keeps Python from noticing, or it is stopped
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a model's memory, and what was said, do not belong on a disk
    Child(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
