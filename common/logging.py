"""Logs on stderr: JSON lines for machines, colours for a terminal; no secret, no spoken word, no flood.

What becomes of standard error (its reader is gone, its disk full, its pipe stuck) costs lines, never the program.
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import queue
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.redact import MASK, SECRET_KEYS, Redactor, printable

LIBRARY = "library"
"""The event of every line that a library writes: `name` and `message` say the rest."""
SPOKEN_KEYS = frozenset({"text", "words", "segments", "payload", "pcm"})
"""What people said never reaches a log, whoever passes it."""
MAX_VALUE_CHARACTERS = 1_000
"""Characters of one value."""
MAX_TRACEBACK_CHARACTERS = 8_000
MAX_ITEMS = 50
"""Items of a list or keys of a mapping that are shown."""
MAX_DEPTH = 4
_CONSTANT = re.compile(r"[a-z_]+(\.[a-z_]+)*")
BURST_LINES = 20
"""Lines of one kind that are logged at any speed; then so many a second as below: a flood must not fill the disk."""
LINES_PER_S, WARNINGS_PER_S = 20.0, 1.0
CONFIG_WARNING = "config_warning"
"""The event of a setting's warning: never left out, since there are as many as somebody wrote settings, once."""

MAX_WAITING_LINES = 1_000
"""Lines that wait for a slow standard error. Policy when full: new ones are lost, and how many is said."""
DRAIN_TIMEOUT_S = 0.3
"""For what waits when the process ends."""


class Sanitizer:
    """A structlog processor: masks secrets, drops speech, cleans and caps every value.

    Args:
        secrets: Exact values that must not appear.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._redact = Redactor(secrets)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> EventDict:
        """The event, fit to be written."""
        return {
            self._name(str(key)): self._traceback(value) if key == "exception" else self._value(key, value)
            for key, value in event.items()
            if key not in SPOKEN_KEYS
        }

    def _value(self, key: object, value: Any, depth: int = 0) -> Any:
        if str(key).lower() in SECRET_KEYS and value is not None:
            return MASK
        if value is None or isinstance(value, bool | int | float):
            return value
        if key == "event" and not depth:
            return self._name(str(value))
        if depth < MAX_DEPTH and isinstance(value, Mapping):
            items = list(value.items())[:MAX_ITEMS]
            return {self._text(str(k)): self._value(k, v, depth + 1) for k, v in items if k not in SPOKEN_KEYS}
        if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self._value(None, item, depth + 1) for item in list(value)[:MAX_ITEMS]]
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return f"({type(value).__name__} of {len(value)})"
        return self._text(str(value))

    def _name(self, name: str) -> str:
        """Of an event or a value: a constant of the code stays, although a secret may be the same word."""
        return name if _CONSTANT.fullmatch(name) else self._text(name)

    def _text(self, text: str) -> str:
        # Redaction comes before the cut, so that half a secret is not left over; a huge value is cut coarsely first.
        return printable(self._redact(text[: 16 * MAX_VALUE_CHARACTERS]), MAX_VALUE_CHARACTERS)

    def _traceback(self, value: Any) -> str:
        return printable(self._redact(str(value)), MAX_TRACEBACK_CHARACTERS, keep_newlines=True)


class Sparing:
    """A structlog processor: leaves out lines that come too often, and says later how many. Debugging wants all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Event → lines it may still have at that time, and lines left out since. Events are constants, and each
        # library has a budget of its own: few.
        self._budgets: dict[tuple[str, str], tuple[float, float, int]] = {}

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Passes the event on. Raises DropEvent."""
        if method == "debug" or event["event"] == CONFIG_WARNING:
            return event
        rate = LINES_PER_S if method == "info" else WARNINGS_PER_S
        now, kind = self._clock(), (event["event"], event.get("name", "") if event["event"] == LIBRARY else "")
        left, at, unsaid = self._budgets.get(kind, (float(BURST_LINES), now, 0))
        left = min(BURST_LINES, left + (now - at) * rate)
        if left < 1:
            self._budgets[kind] = (left, now, unsaid + 1)
            raise structlog.DropEvent
        self._budgets[kind] = (left - 1, now, 0)
        return {**event, "unsaid": unsaid} if unsaid else event


class LibraryHandler(logging.Handler):
    """Lines of libraries as lines of ours, redacted and limited alike: without open files asyncio writes thousands."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the record to structlog."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit the format
            message = str(record.msg)
        structlog.get_logger(record.name).log(
            max(record.levelno, logging.DEBUG), LIBRARY, name=record.name, message=message, exc_info=record.exc_info
        )


class Outlet:
    """A file descriptor for lines, written by a thread of its own: whoever logs never waits for it and never fails.

    Args:
        descriptor: Of standard error; not through Python's own buffer, which would keep what could not be written.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING_LINES)
        self._lost = 0
        threading.Thread(target=self._serve, name="log", daemon=True).start()
        atexit.register(self.drain)

    def write(self, line: str) -> None:
        """Takes a line, or loses it; the next one that is taken comes after how many were lost."""
        if self._lost:
            line = json.dumps({"level": "warning", "event": "log.lines_lost", "lines": self._lost}) + "\n" + line
        try:
            self._lines.put_nowait(line)
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def flush(self) -> None:
        """Nothing: whoever logs does not wait."""

    def drain(self, timeout: float = DRAIN_TIMEOUT_S) -> None:
        """Waits, `timeout` seconds at most, until everything is written."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, timeout)

    def _serve(self) -> None:
        while True:
            line = self._lines.get()
            with suppress(OSError):  # a full disk, a reader that is gone: the next line may have more luck
                self._write(line.encode())
            self._lines.task_done()

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody made it non-blocking, and it is full
                select.select([], [self._descriptor], [])


@functools.cache
def _standard_error() -> Outlet:
    """Nowhere, if it was closed before we began: another file may have its number by now."""
    return Outlet(sys.__stderr__.fileno() if sys.__stderr__ else os.open(os.devnull, os.O_WRONLY))


def drain_log() -> None:
    """Writes what waits, for a process that ends without Python's own end."""
    _standard_error().drain()


def configure_logging(
    level: str = "info",
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
    pretty: bool | None = None,
    silent: Iterable[str] = (),
) -> None:
    """Sets logging up for the whole process; may be called again once the configuration (and its secrets) is known.

    Args:
        level: debug, info, warning or error. Libraries are heard from warning on.
        secrets: Values to mask.
        stream: Where to; default stderr.
        pretty: Colours and columns instead of JSON; default: when `stream` is a terminal.
        silent: Libraries that are not heard at all.
    """
    stream = stream or sys.stderr
    if pretty is None:
        pretty = stream is not None and stream.isatty()
    output = _standard_error() if stream is sys.__stderr__ else stream
    renderer: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if pretty
        else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            Sparing(),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Sanitizer(secrets),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, output)),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(LibraryHandler())
    root.setLevel(max(number, logging.WARNING))
    for name in silent:
        logging.getLogger(name).setLevel(logging.CRITICAL)
