"""The hand on a page: a pointer that moves and keys that are typed, as a person's would be. Every call has a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from playwright.async_api import Error as PlaywrightError

from bot.drivers.browser.page import MeetingPage
from bot.platforms.pages.look import Look, Spot

ACTION_S = 5.0
"""For one click, or for a text."""
KEY_PAUSE_MS = 25
"""Between two keys: pages that look at each of them keep up."""
POINTER_STEPS = 8
"""Of one movement."""
STILL_PX = 2
"""A control that has moved further is another place."""
PASTED_CHARACTERS = 60
"""Longer texts are put in at once."""
CHAT_S = 4.0
"""For the chat to open."""
TYPING_TRIES = 3
"""A panel that moves while it is clicked does not get what is typed."""


class Hand:
    """Uses one page."""

    def __init__(self, page: MeetingPage) -> None:
        self.page = page
        self._resting = False

    async def click(self, spot: Spot) -> None:
        """Moves to the spot and clicks. A page that went elsewhere meanwhile is no error: the next look will show."""
        try:
            async with asyncio.timeout(ACTION_S):
                await self.page.page.mouse.move(spot.x, spot.y, steps=POINTER_STEPS)
                await self.page.page.mouse.click(spot.x, spot.y)
        except (PlaywrightError, TimeoutError):
            self._check()

    async def press(self, control: str, spot: Spot, look: Callable[[], Awaitable[Look]]) -> bool:
        """Clicks a control in the meeting, if it is still where it was when the pointer is there; whether it did.

        What is beside it may be the button that leaves, and a page moves its controls when somebody comes.
        """
        try:
            async with asyncio.timeout(ACTION_S):
                await self.page.page.mouse.move(spot.x, spot.y, steps=POINTER_STEPS)
                now = (await look()).controls.get(control)
                if now is None or abs(now.x - spot.x) > STILL_PX or abs(now.y - spot.y) > STILL_PX:
                    return False
                await self.page.page.mouse.click(spot.x, spot.y)
                return True
        except (PlaywrightError, TimeoutError):
            self._check()
            return False

    async def fill(self, spot: Spot, text: str) -> None:
        """Types into the field at the spot, in place of what is in it."""
        await self.click(spot)
        try:
            async with asyncio.timeout(ACTION_S):
                keyboard = self.page.page.keyboard
                await keyboard.press("Control+A")
                if len(text) > PASTED_CHARACTERS or "\n" in text:  # the key would send the first line
                    await keyboard.insert_text(text)
                else:
                    await keyboard.type(text, delay=KEY_PAUSE_MS)
        except (PlaywrightError, TimeoutError):
            self._check()

    async def wake(self) -> None:
        """Moves the pointer, so that a page shows the controls that it hides from a resting one."""
        self._resting = not self._resting
        x, y = (640, 360) if self._resting else (700, 420)
        try:
            async with asyncio.timeout(ACTION_S):
                await self.page.page.mouse.move(x, y, steps=POINTER_STEPS)
        except (PlaywrightError, TimeoutError):
            self._check()

    async def write(self, message: str, look: Callable[[], Awaitable[Look]]) -> bool:
        """Writes into the chat, opening it if need be; returns whether the field was empty afterwards.

        Args:
            message: One message.
            look: Looks at the page.
        """
        try:
            async with asyncio.timeout(CHAT_S + ACTION_S):
                seen = await look()
                if "chat_input" not in seen.controls and (opens := seen.controls.get("chat_open")):
                    await self.press("chat_open", opens, look)
                while "chat_input" not in seen.controls:
                    await asyncio.sleep(0.2)
                    seen = await look()
                for _ in range(TYPING_TRIES):
                    if "chat_input" in seen.controls:
                        await self.fill(seen.controls["chat_input"], message)
                    seen = await look()
                    field = seen.controls.get("chat_input")
                    if field is not None and field.value.strip():
                        break
                else:
                    return False
                if sends := seen.controls.get("chat_send"):
                    await self.press("chat_send", sends, look)
                else:
                    await self.page.page.keyboard.press("Enter")
                field = (await look()).controls.get("chat_input")
                return field is None or not field.value.strip()
        except (PlaywrightError, TimeoutError):
            self._check()
            return False

    async def leave(self, look: Callable[[], Awaitable[Look]]) -> None:
        """Clicks what leaves, waking the page if that is hidden, and what confirms it."""
        seen = await look()
        if "leave" not in seen.controls:
            await self.wake()
            seen = await look()
        if leaves := seen.controls.get("leave"):
            await self.page.page.mouse.click(leaves.x, leaves.y)
            seen = await look()
        if confirms := seen.controls.get("leave_confirm"):
            await self.page.page.mouse.click(confirms.x, confirms.y)

    def _check(self) -> None:
        """A page that is gone is not used any more."""
        if self.page.gone.done():
            raise self.page.gone.result()
