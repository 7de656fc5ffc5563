"""Talk in a page: chat and captions are opened and read, and our own messages written into the chat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from bot.core import events as ev
from bot.platforms.pages.lines import Captions, Chat
from bot.platforms.pages.look import Look, Spot

if TYPE_CHECKING:
    from bot.platforms.pages.hand import Hand
    from bot.platforms.pages.site import Site

OPENING_TRIES = 3
"""To open the chat: an odd number, for what was open after all."""
PAUSE_S = 3.0
"""Between two of them, and between two movements of the pointer that wake a toolbar."""
WAKING_TRIES = 5

log = structlog.get_logger(__name__)


class Talk:
    """The words of one stay, through as many pages as it takes.

    Args:
        site: What is to be read, and what is to be written at admission.
        report: Takes events.
    """

    def __init__(self, site: Site, report: Callable[[ev.PlatformEvent], None]) -> None:
        self._site, self._report = site, report
        self._chat, self._captions = Chat(), Captions()
        self._announcement = site.settings.announcement
        self.reopened()

    def reopened(self) -> None:
        """The page is another one: nothing in it is open, and no caption is on."""
        self._chat.close()
        self._has_captions = False
        self._opened = self._woken = 0
        self._tried_at = float("-inf")

    def enter(self) -> None:
        """We are inside, or inside again: what stands in the chat now is from before."""
        self._chat.close()

    def read(self, look: Look, now: float) -> None:
        """Reports what is new."""
        names = [person.name for person in look.others]
        if self._site.settings.chat:
            for line in self._chat.look(look.chat, "chat_input" in look.controls, names, now):
                self._report(ev.ChatReceived(_identity(look, line.author), line.author, line.text))
        if self._site.settings.captions:
            for one in self._captions.look(look.captions, now):
                who = _identity(look, one.author)
                self._report(ev.CaptionHeard(who, one.author, one.text, one.start, one.end))

    async def settle_in(self, look: Look, hand: Hand, look_again: Callable[[], Awaitable[Look]], now: float) -> None:
        """Once inside: one step of what was asked for. Captions are clicked once: twice they would be off."""
        announcement, self._announcement = self._announcement, None
        if announcement is not None:
            await self.write(announcement, hand, look_again, "the announcement could not be written")
            return
        wanted = self._wanted(look)
        if wanted is None or now - self._tried_at < PAUSE_S:
            return
        control, spot = wanted
        self._tried_at = now
        if spot is None:
            self._woken += 1
            await hand.wake()
        elif not await hand.press(control, spot, look_again):
            self._tried_at = float("-inf")
        elif control == "captions_on":
            self._has_captions = True
        else:
            self._opened += 1
            if self._opened == OPENING_TRIES:
                log.warning("page.chat", what="it does not open", platform=self._site.name)

    def _wanted(self, look: Look) -> tuple[str, Spot | None] | None:
        """What is to be clicked next; without a place it is not there, and the toolbar may be hidden."""
        is_read = "chat_input" in look.controls or look.chat or self._opened >= OPENING_TRIES
        for control, is_due in (
            ("captions_on", self._site.settings.captions and not self._has_captions),
            ("chat_open", self._site.settings.chat and not is_read),
        ):
            spot = look.controls.get(control)
            if is_due and (spot is not None or self._woken < WAKING_TRIES):
                return control, spot
        return None

    async def write(
        self, message: str, hand: Hand, look: Callable[[], Awaitable[Look]], words: str = "the message was not written"
    ) -> None:
        """Writes a message into the chat; one that cannot be is a line in the log."""
        self._chat.wrote(message)
        if not await hand.write(message, look):
            log.warning("page.chat", what=words, platform=self._site.name)


def _identity(look: Look, name: str) -> str | None:
    """Who has this name, if exactly one has it."""
    found = [person.id for person in look.people if person.name == name]
    return found[0] if len(found) == 1 else None
