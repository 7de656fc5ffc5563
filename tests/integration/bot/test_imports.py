"""What a bot carries: its process imports what it needs, and no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BOT = """
import sys
from types import ModuleType
from bot.cli import main

def run(settings):
    del sys.modules["bot.process"]
    import bot.process
    import bot.platforms.livekit.attendance
    print(sorted({"click", "pygments", "rich", "cryptography.hazmat"} & set(sys.modules)))
    return 0

sys.modules["bot.process"] = ModuleType("bot.process")
sys.modules["bot.process"].run = run
sys.argv = ["earshot", "run"]
main()
"""
"""The command as it is, up to the bot; instead of it, what is imported by then and once it is in a LiveKit room."""
CONFIG = """{"platform": "livekit", "meetingUrl": "ws://127.0.0.1:1", "token": "a.b.c", "redisUrl": "redis://127.0.0.1:1",
             "whisperLiveUrl": "ws://127.0.0.1:1"}"""


@pytest.mark.processes
def test_a_bot_in_a_livekit_room_carries_no_library_that_it_does_not_use() -> None:
    """Neither what draws tables in a terminal, nor the signatures that LiveKit does not know; they cost 14 MB."""
    environment = {"BOT_CONFIG": CONFIG, "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run([sys.executable, "-c", BOT], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
