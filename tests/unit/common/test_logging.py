"""Logs: one line per event, no secret, no spoken word, third-party loggers alike."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from common.logging import (
    BURST_LINES,
    CONFIG_WARNING,
    LINES_PER_S,
    MAX_VALUE_CHARACTERS,
    MAX_WAITING_LINES,
    LibraryHandler,
    Outlet,
    Sparing,
    configure_logging,
)

CANARY = "canary-secret-1234"
SPOKEN = "spoken-canary-words"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Logging into memory, put back afterwards."""
    stream = io.StringIO()
    configure_logging("debug", [CANARY], stream=stream)
    yield stream
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LibraryHandler)]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def events(output: io.StringIO) -> list[dict[str, object]]:
    """The JSON lines written so far."""
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_names_of_events_and_values_stay_whatever_is_secret(output: io.StringIO) -> None:
    """They are constants of the code; a token that is one of these words is masked where a value has it."""
    configure_logging("info", ["status"], stream=output, pretty=False)
    structlog.get_logger("test").info("bot.status", status="a status", code="left_by_command")
    (line,) = events(output)
    assert (line["event"], line["status"], line["code"]) == ("bot.status", "a ***", "left_by_command")


def test_no_canary_survives_however_it_is_passed(output: io.StringIO) -> None:
    """Secrets and speech in values, keys, nested objects, exceptions and third-party messages."""
    log = structlog.get_logger("test")
    event, key = f"event {CANARY}", f"{CANARY} as key"
    log.info(event, url=f"ws://h?token={CANARY}", token="short", passcode=47114711471147, deep={"a": [{"b": CANARY}]})
    log.info(
        "speech", text=SPOKEN, words=[SPOKEN], segment={"text": SPOKEN, "id": 1}, segments=[SPOKEN], payload=SPOKEN
    )
    log.info(
        "objects", secret=SecretStr(CANARY), bytes=CANARY.encode(), very_deep={"a": {"b": {"c": {"d": {"e": CANARY}}}}}
    )
    log.info("long", value="x" * (MAX_VALUE_CHARACTERS - 5) + CANARY)
    log.info(key, **{CANARY: 1})
    try:
        raise ValueError(f"bad token {CANARY}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("library").warning("connecting to %s", f"redis://:{CANARY}@h")
    LibraryHandler().emit(logging.LogRecord("library", logging.WARNING, "", 0, "bad %d format", (CANARY,), None))
    text = output.getvalue()
    for hidden in (CANARY, CANARY[:8], SPOKEN, "47114711471147", '"short"'):
        assert hidden not in text, hidden
    assert len(events(output)) == 8
    assert "ValueError" in text
    assert events(output)[1]["segment"] == {"id": 1}


def test_each_event_is_one_line_whatever_a_name_holds(output: io.StringIO) -> None:
    """Newlines, ANSI, NUL and a megabyte in a name cannot forge or flood the log."""
    structlog.get_logger().info("joined", name='A\r\n{"event":"forged"}\x1b[2J\x00\u202e' + "x" * 1_000_000)
    (event,) = events(output)
    name = event["name"]
    assert isinstance(name, str)
    assert len(name) <= MAX_VALUE_CHARACTERS + 1
    assert len(output.getvalue()) < 2 * MAX_VALUE_CHARACTERS
    assert not {"\r", "\n", "\x1b", "\x00", "\u202e"} & set(name)


def test_lists_and_mappings_are_capped(output: io.StringIO) -> None:
    """A collection of 10,000 does not make a line of a megabyte."""
    structlog.get_logger().info("many", items=list(range(10_000)), mapping={str(key): key for key in range(10_000)})
    assert len(output.getvalue()) < 3_000


def test_levels_and_time(output: io.StringIO) -> None:
    """The level filters ours; libraries are heard from warning on; each event has level and UTC time."""
    configure_logging("warning", stream=output)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud", number=1.5, none=None, flag=True)
    logging.getLogger("library").info("quiet")
    (event,) = events(output)
    assert (event["event"], event["level"], event["number"], event["none"], event["flag"]) == (
        "loud", "warning", 1.5, None, True,
    )  # fmt: skip
    assert str(event["timestamp"]).endswith("Z")


def test_a_terminal_gets_readable_lines() -> None:
    """Pretty output is masked and cleaned just the same."""
    stream = io.StringIO()
    configure_logging("info", [CANARY], stream=stream, pretty=True)
    structlog.get_logger().info("hello", value=CANARY, name="a\x1b[2Jb")
    structlog.reset_defaults()
    assert "hello" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()


def test_configuring_twice_does_not_double_library_messages(output: io.StringIO) -> None:
    """The second call, with the secrets known, replaces the first."""
    configure_logging("info", stream=output)
    configure_logging("info", stream=output)
    logging.getLogger("library").warning("once")
    assert len(events(output)) == 1


def test_a_flood_of_warnings_becomes_one_a_second() -> None:
    """After a burst; the next one says how many were left out; other events have budgets of their own."""
    now = 0.0
    sparing = Sparing(lambda: now)

    def warn(event: str = "client.refused") -> dict[str, Any] | None:
        try:
            return dict(sparing(None, "warning", {"event": event}))
        except structlog.DropEvent:
            return None

    assert [warn() for _ in range(BURST_LINES)] == [{"event": "client.refused"}] * BURST_LINES
    assert [warn() for _ in range(50)] == [None] * 50
    assert warn("other") == {"event": "other"}
    now = 1.0
    assert warn() == {"event": "client.refused", "unsaid": 50}
    assert warn() is None
    now = 1000.0
    assert warn() == {"event": "client.refused", "unsaid": 1}
    assert [warn() for _ in range(BURST_LINES)] == [{"event": "client.refused"}] * (BURST_LINES - 1) + [None]


def test_a_flood_of_plain_lines_becomes_twenty_a_second() -> None:
    """What flaps, or is repeated by somebody hostile, is seen and fills no disk."""
    now, said = 0.0, 0
    sparing = Sparing(lambda: now)
    for number in range(10_000):
        now = number / 1000
        with contextlib.suppress(structlog.DropEvent):
            sparing(None, "info", {"event": "bot.health"})
            said += 1
    assert BURST_LINES + 10 * LINES_PER_S - 2 <= said <= BURST_LINES + 10 * LINES_PER_S


@pytest.mark.parametrize(("method", "event"), [("debug", "decoding.done"), ("warning", CONFIG_WARNING)])
def test_what_was_asked_for_is_not_left_out(method: str, event: str) -> None:
    """A line per pass, however many passes there are; each warning of a configuration, however many keys it has."""
    sparing = Sparing(lambda: 0.0)
    for _ in range(1000):
        assert sparing(None, method, {"event": event}) == {"event": event}


def test_a_flood_of_one_library_does_not_hide_another(output: io.StringIO) -> None:
    """Each has a budget of its own, although all their lines have one event."""
    for _ in range(10 * BURST_LINES):
        logging.getLogger("noisy").warning("again")
    logging.getLogger("quiet").warning("once")
    assert BURST_LINES < len(events(output)) < BURST_LINES + 3
    assert (events(output)[-1]["name"], events(output)[-1]["message"]) == ("quiet", "once")


def test_lines_of_libraries_are_lines_like_ours(output: io.StringIO) -> None:
    """JSON, with the traceback in it, and not more of them than of ours."""
    for _ in range(10 * BURST_LINES):
        try:
            raise OSError("Too many open files")
        except OSError:
            logging.getLogger("asyncio").exception("socket.accept() out of %s", "system resource")
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert BURST_LINES <= len(lines) < BURST_LINES + 3
    assert (lines[0]["event"], lines[0]["name"], lines[0]["level"]) == ("library", "asyncio", "error")
    assert lines[0]["message"] == "socket.accept() out of system resource"
    assert "Too many open files" in lines[0]["exception"]


def test_a_library_can_be_silenced(output: io.StringIO) -> None:
    """What strangers cause by knocking is no error of ours."""
    configure_logging("info", stream=output, silent=["noisy"])
    logging.getLogger("noisy").error("invalid handshake")
    assert events(output) == []
    logging.getLogger("noisy").setLevel(logging.NOTSET)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads yet, and that is full: its two ends."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"." * 4096):
            pass
    yield read, write
    for end in (read, write):
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_stuck_outlet_costs_lines_and_no_time(pipe: tuple[int, int], blocking: bool) -> None:
    """So many wait, and whoever logs does not; a reader that goes on gets them in order, and how many are missing."""
    read, write = pipe
    os.set_blocking(write, blocking)
    outlet = Outlet(write)
    given = 2 * MAX_WAITING_LINES
    for number in range(given):
        outlet.write(f"{number}\n")
    with os.fdopen(os.dup(read)) as reader, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: [line.strip(".\n") for line in iter(reader.readline, "at last\n")])
        outlet.drain(5)
        outlet.write("at last\n")
        lines = reading.result()
    numbers = [int(line) for line in lines if line.isdecimal()]
    lost = [json.loads(line) for line in lines if not line.isdecimal()]
    assert numbers == sorted(numbers)
    assert MAX_WAITING_LINES <= len(numbers) <= MAX_WAITING_LINES + 1  # one is in the thread's hands
    assert {notice["event"] for notice in lost} == {"log.lines_lost"}
    assert len(numbers) + sum(notice["lines"] for notice in lost) == given


def test_an_outlet_whose_reader_is_gone_is_written_to_in_vain(pipe: tuple[int, int]) -> None:
    """No error and no wait: every line is let go of."""
    read, write = pipe
    os.close(read)
    outlet = Outlet(write)
    for number in range(3 * MAX_WAITING_LINES):
        outlet.write(f"{number}\n")
    outlet.drain(5)
    assert outlet._lines.empty()
