"""`earshot run` with a platform whose meeting URL says what goes wrong: `python -m tests.support.fakes.acting_bot`.

A program of its own, with the real command line: what it does to its event loop and its standard error would be done
to pytest's.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from bot import watchdog
from bot.audio.frame import AudioFrame
from bot.cli import main
from bot.core.events import Admitted, LobbyEntered, ParticipantJoined, TrackOpened, TransportLost
from bot.platforms import PLATFORMS
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.transcription import Transcription
from common.contracts.status import SubCode
from rehearsal.clips import load_clip


class Acting(Platform):
    """A meeting in which something happens to the whole process."""

    def claims(self, url: str) -> bool:
        """Whether it is one of ours."""
        return url.startswith("acting:")

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Enters, or does not yet, and does what the URL says."""
        act = (invitation.meeting_url or "").removeprefix("acting:")
        if act == "lobby":
            listener.event(LobbyEntered())
        elif act != "joining":
            listener.event(Admitted())
        loop = asyncio.get_running_loop()
        doing = None
        match act:
            case "kick":
                return SubCode.REMOVED
            case "crash":
                raise ZeroDivisionError
            case "talking":
                await _talk(listener, orders)
            case "reconnecting":
                listener.event(TransportLost())
            case "deaf to orders":
                await asyncio.Event().wait()
            case "stuck":
                loop.call_later(0.1, _spin)
            case "stuck for good":
                watchdog.STUCK_S = 1.0
                loop.call_later(0.1, _spin)
            case "end":
                return SubCode.MEETING_ENDED
            case "exit":
                sys.exit()
            case "exit in a task":
                doing = loop.create_task(_exit())
            case "exit in a callback":
                loop.call_later(0.01, sys.exit)
            case "interrupt in a callback":
                loop.call_later(0.01, _interrupt)
            case "exit in our timers":
                Transcription.tick = _tick  # type: ignore[method-assign]
                loop.call_later(0.01, listener.event, Admitted())
        await orders.leaving.wait()
        del doing
        return SubCode.LEFT_BY_COMMAND


async def _talk(listener: Listener, orders: Orders) -> None:
    """Ana speaks, again and again, in real time."""
    listener.event(ParticipantJoined("ana", "Ana"))
    listener.event(TrackOpened("t1", "ana"))
    speech = load_clip("ana1", Path()).pcm[::3].astype(np.int16)  # 48 kHz → 16 kHz
    position, loop = 0, asyncio.get_running_loop()
    while not orders.leaving.is_set():
        piece = speech[position % (len(speech) - 320) :][:320]
        listener.audio(AudioFrame("t1", piece, position, 1, loop.time()))
        position += 320
        await asyncio.sleep(0.02)


def _spin() -> None:
    while True:
        pass


async def _exit() -> None:
    sys.exit()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _tick(self: Transcription, now: float) -> float:
    sys.exit()


if __name__ == "__main__":
    PLATFORMS["acting"] = "tests.support.fakes.acting_bot:Acting"
    main()
