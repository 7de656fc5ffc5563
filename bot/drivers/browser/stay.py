"""A stay in a meeting that outlives its page: a page that died is opened again, a few times, then it is the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot.drivers.browser.page import BrowserSettings, CaptureListener, MeetingPage
from common.contracts.status import SubCode

MAX_RELAUNCHES = 3
RELAUNCH_WINDOW_S = 600.0


async def stay(
    settings: BrowserSettings,
    listener: CaptureListener,
    visit: Callable[[MeetingPage, int], Awaitable[SubCode]],
    lost: Callable[[], None],
    *,
    probes: Sequence[str] = (),
    mix: bool = True,
    arguments: Sequence[str] = (),
) -> SubCode:
    """Runs `visit(page, launch)` to its end; when the page dies it is cancelled and run again on a new page.

    Args:
        visit: Joins and stays; `launch` is 0 for the first page, then 1, 2, … Its return is ours, what it raises too.
        lost: Called when a page has died and is opened again: `TransportLost`; `visit` says when we are back.
        settings, listener, probes, mix, arguments: See `open_page`. Tracks of a dead page are closed before `lost`.

    Raises:
        EarshotError: BROWSER_CRASHED when more than MAX_RELAUNCHES pages died within RELAUNCH_WINDOW_S.
    """
    raise NotImplementedError
