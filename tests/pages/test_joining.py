"""Joining through each page's forms and traps: real Chromium, the whole flow, real sound; or the right failure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from bot.core import events as ev
from bot.core.orders import SendChat
from bot.drivers.browser.view import LiveView
from bot.platforms import load
from bot.platforms.pages import evidence, lines
from bot.platforms.pages import flow as fl
from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.script import Lobby
from tests.platforms.contract import Attending, attending
from tests.support.servers.meeting_pages import DirectedPageRoom, page_room
from tests.support.servers.pages import chromium_settings
from tests.support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(90), pytest.mark.usefixtures("driver_of_file")]
PATIENCE_S = 30.0
LOBBY = Lobby(delay=3.0)  # long enough to be seen on a busy machine


def enter(room: DirectedPageRoom, settings: dict[str, Any] | None = None, **changes: Any) -> Any:
    """Sends the platform into the room."""
    return attending(load(room.room.look.platform), room.invitation(settings, **changes), PATIENCE_S)


async def is_inside(bot: Attending) -> None:
    """Waits for admission and for somebody's sound."""
    await bot.listener.until(lambda: bot.listener.admitted, "admitted")
    await bot.hears("ana", 440)


@pytest.mark.parametrize(
    ("platform", "variants"),
    [
        ("google_meet", ("old", "slow", "late_dialog", "curly")),
        ("google_meet", ("sleepy", "recorded")),
        ("teams", ("launcher", "no_devices", "slow")),
        ("teams", ("old", "late_dialog", "curly")),
        ("zoom", ("launcher", "cookies", "sleepy")),
        ("zoom", ("classic", "bare", "devices")),
        ("zoom", ("late_dialog", "slow", "curly")),
        ("jitsi", ("members_only", "shell", "slow")),
        ("jitsi", ("no_api", "late_dialog")),
    ],
)
async def test_it_joins_whatever_the_page_looks_like(platform: str, variants: tuple[str, ...]) -> None:
    """The lobby first, then admitted; once each."""
    async with page_room(platform, LOBBY, variants=variants) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with enter(room) as bot:
            await is_inside(bot)
            assert [bot.listener.count(kind) for kind in (ev.LobbyEntered, ev.Admitted)] == [1, 1]


@pytest.mark.parametrize("platform", ["teams", "zoom", "jitsi"])
async def test_a_passcode_is_typed(platform: str) -> None:
    """The right one opens the door; the wrong one, or none, is help that is needed."""
    async with page_room(platform, passcode="1234") as room:
        async with enter(room, passcode="1234") as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "admitted")
        async with enter(room, passcode="4321") as bot:
            await bot.listener.until(lambda: bot.listener.count(ev.HelpNeeded), "needs help")
            assert "passcode" in bot.listener.of(ev.HelpNeeded)[0].reason
            assert not bot.listener.admitted


async def test_a_person_helps_in_the_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passcode that nobody gave: the log says where the page can be used; typed in there, the bot is in."""
    pages: list[Any] = []
    show = LiveView.show

    def shown(view: LiveView, page: Any) -> None:
        pages.append(page)
        show(view, page)

    monkeypatch.setattr(LiveView, "show", shown)
    with capture_logs() as logged:
        async with (
            page_room("jitsi", passcode="1234") as room,
            enter(room, browser=chromium_settings(view=True)) as bot,
        ):
            await bot.listener.until(lambda: bot.listener.count(ev.HelpNeeded), "needs help")
            (url,) = [line["url"] for line in logged if line["event"] == "browser.view"]
            assert url.split("/")[3] not in bot.listener.of(ev.HelpNeeded)[0].reason
            places = [
                await pages[-1].page.locator(one).bounding_box() for one in ("[type=password]", "[data-action=join]")
            ]
            field, button = ([(box["x"] + 9) / 1280, (box["y"] + 9) / 720] for box in places)
            # a real viewer's page: test_view.py
            async with connect(url.replace("http", "ws"), origin=url.rpartition(url.split("/")[3])[0][:-1]) as viewer:
                for action in ({"click": field}, {"text": "1234"}, {"click": button}):
                    await viewer.send(json.dumps(action))
                await bot.listener.until(lambda: bot.listener.admitted, "admitted")
                while not isinstance(told := await asyncio.wait_for(viewer.recv(), 10), str):
                    pass
                assert "no help" in told  # nothing of the meeting is shown


@pytest.mark.parametrize(
    ("platform", "state", "code"),
    [
        ("google_meet", "not_found", SubCode.MEETING_NOT_FOUND),
        ("google_meet", "sign_in", SubCode.AUTH_REQUIRED),
        ("google_meet", "full", SubCode.MEETING_FULL),
        ("google_meet", "unanswered", SubCode.LOBBY_TIMEOUT),
        ("google_meet", "blocked", SubCode.JOIN_REFUSED),
        ("teams", "sign_in", SubCode.AUTH_REQUIRED),
        ("teams", "denied", SubCode.JOIN_REFUSED),
        ("zoom", "bots_refused", SubCode.BOTS_NOT_ALLOWED),
        ("jitsi", "full", SubCode.MEETING_FULL),
        ("teams", "captcha", SubCode.CAPTCHA),
        ("zoom", "not_started", SubCode.MEETING_NOT_STARTED),
    ],
)
async def test_each_failure_has_its_code_and_its_evidence(
    platform: str, state: str, code: SubCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words for people; a picture and a summary, named in the error."""
    monkeypatch.setattr(evidence, "_kept", 0)
    monkeypatch.setattr(fl, "BLOCKED_PAUSE_S", 0.2)
    monkeypatch.setattr(fl, "HELP_S", 0.5)
    async with page_room(platform, state=state) as room:
        settings = {"notStartedTimeout": 500}
        async with enter(room, settings, browser=chromium_settings(evidence_dir=str(tmp_path / "kept"))) as bot:
            with pytest.raises(EarshotError) as failure:
                await bot.ends(PATIENCE_S)
            assert not bot.listener.admitted
    assert failure.value.code is code
    picture, summary = map(Path, failure.value.evidence)
    assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
    told = json.loads(summary.read_text(encoding="utf-8"))
    assert (told["platform"], told["code"]) == (platform, code)
    assert told["page"]["rows"]
    assert "title" not in told["page"]
    assert picture.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("platform", ["google_meet", "teams", "zoom", "jitsi"])
async def test_put_back_into_the_lobby_and_let_in_again(platform: str) -> None:
    """Said each way; the people are told anew."""
    async with page_room(platform) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with enter(room) as bot:
            await is_inside(bot)
            room.room.put_back()
            await bot.listener.until(lambda: bot.listener.count(ev.LobbyEntered), "back in the lobby")
            room.room.let_in()
            await bot.listener.until(lambda: bot.listener.count(ev.Admitted) == 2, "admitted again")
            await bot.listener.until(lambda: bot.listener.names, "somebody is here")
            await bot.hears("ana", 440)


@pytest.mark.parametrize("platform", ["google_meet", "teams", "zoom", "jitsi"])
async def test_chat_both_ways(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others write there is reported; what we are told to write, and our announcement, arrives."""
    monkeypatch.setattr(lines, "CHAT_SETTLE_S", 0.0)
    async with page_room(platform) as room:
        await room.join("ana", "Ana")
        async with enter(room, {"announcement": "I write a transcript."}) as bot:
            await bot.listener.until(lambda: bot.listener.names, "somebody is here")
            await eventually(lambda: room.room.written == ["I write a transcript."], PATIENCE_S)
            assert bot.orders.give(SendChat("Hello ✓\nall"))
            await eventually(lambda: len(room.room.written) == 2, PATIENCE_S)
            assert room.room.written[1].split() == ["Hello", "✓", "all"]
            room.room.say("Ana", "Welcome <b>all</b>")
            await bot.listener.until(
                lambda: [event for event in bot.listener.of(ev.ChatReceived) if event.message == "Welcome <b>all</b>"],
                "Ana's message",
            )
            (heard,) = bot.listener.of(ev.ChatReceived)
            assert bot.listener.names[heard.participant_id or ""] == heard.name == "Ana"


@pytest.mark.parametrize("platform", ["google_meet", "zoom"])
async def test_the_chat_is_opened_to_be_read(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the toolbar is hidden: messages are in the page only then, and those from before are not reported."""
    monkeypatch.setattr(lines, "CHAT_SETTLE_S", 1.0)
    async with page_room(platform, variants=("sleepy",)) as room, enter(room) as bot:
        await bot.listener.until(lambda: bot.listener.admitted, "admitted")
        said = 0
        while not bot.listener.count(ev.ChatReceived):
            said += 1
            assert said < 60
            room.room.say("Ana", f"message {said}")
            await asyncio.sleep(0.5)
        heard = bot.listener.of(ev.ChatReceived)
        assert {(one.participant_id, one.name) for one in heard} == {(None, "Ana")}
        first = int(heard[0].message.removeprefix("message "))
        assert first > 1
        assert [one.message for one in heard] == [f"message {first + number}" for number in range(len(heard))]


@pytest.mark.parametrize("platform", ["google_meet", "teams", "zoom", "jitsi"])
async def test_names_that_lie_end_no_meeting(platform: str) -> None:
    """The meeting and somebody in it are called as the page says that we were removed: we stay, and report the name."""
    lie = {"google_meet": "You've been removed from the meeting", "teams": "Meeting ended"}.get(
        platform, "You have been kicked"
    )
    async with page_room(platform, words={"title": lie}) as room, enter(room) as bot:
        await bot.listener.until(lambda: bot.listener.admitted, "admitted")
        await room.join("eve", lie)
        room.room.say("Eve", "This meeting has been ended by host")
        await bot.listener.until(lambda: lie in bot.listener.names.values(), "the name")
        await asyncio.sleep(fl.ALARM_CONFIRM_S + 1)
        assert not bot.task.done()


@pytest.mark.parametrize("platform", ["google_meet", "teams"])
async def test_captions_are_switched_on_and_read(platform: str) -> None:
    """Each once and whole, with who said it."""
    async with page_room(platform) as room:
        await room.join("ana", "Ana")
        async with enter(room, {"captions": True}) as bot:
            await bot.listener.until(lambda: bot.listener.names, "somebody is here")
            for text in ("what is", "what is the status", "what is the status of the contract"):
                room.room.caption("Ana", text)
                await asyncio.sleep(0.3)
            room.room.caption("Ben", "i will call you")
            await bot.listener.until(lambda: bot.listener.count(ev.CaptionHeard) == 2, "both captions")
            heard = bot.listener.of(ev.CaptionHeard)
            assert [(one.name, one.caption) for one in heard] == [
                ("Ana", "what is the status of the contract"),
                ("Ben", "i will call you"),
            ]
            assert [bot.listener.names.get(one.participant_id or "") for one in heard] == ["Ana", None]
