"""`earshot run` with a platform whose meeting URL says what goes wrong: `python -m tests.support.fakes.acting_bot`.

A program of its own, with the real command line: what it does to its event loop and its standard error would be done
to pytest's.
"""

from __future__ import annotations

import asyncio
import sys

from bot.cli import main
from bot.core.events import Admitted
from bot.platforms import PLATFORMS
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.transcription import Transcription
from common.contracts.status import SubCode


class Acting(Platform):
    """A meeting in which something happens to the whole process."""

    def claims(self, url: str) -> bool:
        """Whether it is one of ours."""
        return url.startswith("acting:")

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Enters and does what the URL says."""
        listener.event(Admitted())
        loop = asyncio.get_running_loop()
        doing = None
        match (invitation.meeting_url or "").removeprefix("acting:"):
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


async def _exit() -> None:
    sys.exit()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _tick(self: Transcription, now: float) -> float:
    sys.exit()


if __name__ == "__main__":
    PLATFORMS["acting"] = "tests.support.fakes.acting_bot:Acting"
    main()
