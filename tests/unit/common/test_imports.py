"""Imports without what is only there by chance."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from common.imports import without

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


def leave_out_and_fail(*names: str) -> None:
    """A block that ends with an error."""
    with without(*names):
        for name in names:
            with pytest.raises(ModuleNotFoundError):
                __import__(name)
        raise ZeroDivisionError


def test_what_is_left_out_is_not_to_be_had_and_is_as_before_afterwards() -> None:
    """Also where it was imported already; and where the block fails."""
    import colorsys

    sys.modules.pop("this", None)
    with pytest.raises(ZeroDivisionError):
        leave_out_and_fail("colorsys", "this")
    assert sys.modules["colorsys"] is colorsys
    assert "this" not in sys.modules


@pytest.mark.slow
def test_a_bot_in_a_livekit_room_carries_no_library_that_it_does_not_use() -> None:
    """Neither what draws tables in a terminal, nor the signatures that LiveKit does not know; they cost 14 MB."""
    environment = {"BOT_CONFIG": CONFIG, "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run([sys.executable, "-c", BOT], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
