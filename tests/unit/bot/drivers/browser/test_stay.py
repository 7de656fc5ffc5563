"""How often a page may die, and whether it is opened again. Chromium and its page are fakes; time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bot.drivers.browser import stay as staying
from bot.drivers.browser.page import BrowserSettings, PageGoneError
from bot.drivers.browser.stay import MAX_RELAUNCHES, RELAUNCH_WINDOW_S, Relaunches, stay
from common.contracts.status import SubCode
from common.errors import EarshotError


def test_so_many_within_the_window() -> None:
    """The fourth death within ten minutes is the end; spread wider, there is none."""
    relaunches = Relaunches()
    assert [relaunches.allow(float(at)) for at in range(MAX_RELAUNCHES + 1)] == [True] * MAX_RELAUNCHES + [False]
    relaunches = Relaunches()
    pause = RELAUNCH_WINDOW_S / MAX_RELAUNCHES
    assert all(relaunches.allow(n * pause) for n in range(20))


@pytest.mark.parametrize("is_over", [True, False], ids=["it is over", "it goes on"])
async def test_a_page_that_dies_while_it_is_put_away(
    is_over: bool, virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the meeting said before, and of which evidence is kept, stays the end: we do not knock again."""

    @asynccontextmanager
    async def open_page(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(gone=asyncio.get_running_loop().create_future(), is_over=False)

    monkeypatch.setattr(staying, "open_page", open_page)
    visits: list[int] = []

    async def visit(page: Any, launch: int) -> SubCode:
        visits.append(launch)
        if launch:
            return SubCode.MEETING_ENDED
        page.is_over = is_over
        page.gone.set_result(PageGoneError("its renderer crashed"))
        await asyncio.sleep(3)
        raise EarshotError(SubCode.JOIN_REFUSED, "the host refused us")

    listener: Any = None
    ending = asyncio.create_task(stay(BrowserSettings(), listener, visit, lambda: None))
    await asyncio.wait({ending})
    if is_over:
        assert isinstance(ending.exception(), EarshotError)
        assert visits == [0]
    else:
        assert (ending.result(), visits) == (SubCode.MEETING_ENDED, [0, 1])
