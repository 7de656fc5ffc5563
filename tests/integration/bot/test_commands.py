"""Commands to a running bot, over real Redis: carried out, answered, and none of them costs a word."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.core.orders import Order, SendChat
from bot.platforms.base import Invitation, Listener
from bot.platforms.orders import Orders
from common.contracts.events import CommandEvent, parse_event
from common.contracts.status import SubCode
from tests.integration.bot.test_runner import Stage, World, enter, one_utterance, speak, world
from tests.support.servers.redis_server import payloads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]


async def send(here: World, channel: str = "bot_commands:bot-1", **command: Any) -> CommandEvent:
    """Publishes a command and waits for its answer on the status stream."""
    before = len(await answers(here))
    assert await here.redis.publish(channel, json.dumps(command)) == 1
    async with asyncio.timeout(5):
        while len(found := await answers(here)) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found[-1]


async def answers(here: World) -> list[CommandEvent]:
    """Every answer so far."""
    events = [parse_event(payload) for payload in await payloads(here.redis, "earshot:status:bot-1")]
    return [event for event in events if isinstance(event, CommandEvent)]


async def finals(here: World) -> list[dict[str, Any]]:
    """The finals stored so far."""
    return [payload["segments"][0] for payload in await here.stream() if payload["type"] == "transcription"]


async def stored(here: World, count: int) -> None:
    """Waits for so many finals: what the end has time for on a busy machine is another matter."""
    async with asyncio.timeout(20):
        while len(await finals(here)) < count:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("channel", ["bot_commands:bot-1", "bot_commands:meeting:m1"])
async def test_reconfigure_costs_no_audio(channel: str) -> None:
    """Told in mid-utterance: what is being said goes on where it began, what follows is on a new connection."""
    heard = []
    for reconfigures in (False, True):

        async def talk(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            talking = asyncio.create_task(speak(listener))
            await eventually(lambda: bool(here.transcriber.heard))
            if reconfigures:  # noqa: B023
                answer = await send(here, channel, action="reconfigure", language="de", allowed_languages=["de", "en"])
                assert answer.accepted
            await talking
            await speak(listener)
            await stored(here, 2)
            return SubCode.MEETING_ENDED

        async with world() as here:
            await here.attend(talk, language="en", allowedLanguages=["en"])
            first, _ = await finals(here)
            heard.append(int(first["text"].split()[0]))  # samples: what the scripted transcriber answers with
            hello = here.transcriber.handshakes[-1].handshake
            assert hello.language == ("de" if reconfigures else "en")
            assert hello.allowed_languages == ({"de", "en"} if reconfigures else {"en"})
    assert heard[0] == heard[1] > 16_000


async def test_one_bad_value_deafens_nobody() -> None:
    """A language that does not exist is refused, and says why; the next utterance has its text."""

    async def talk(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        bad = await send(here, action="reconfigure", language="Klingon", task="transcribe", id="a-1")
        assert (bad.accepted, bad.command_id) == (False, "a-1")
        assert "language" in bad.detail
        await speak(listener)
        await stored(here, 1)
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(talk, language="en")
        assert len(await finals(here)) == 1
        assert here.transcriber.handshakes[-1].handshake.language == "en"


async def test_a_paused_bot_lets_no_audio_out() -> None:
    """What was being said is finished; what is said meanwhile leaves the bot in no way; then it listens again."""

    async def talk(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        assert (await send(here, action="pause")).accepted
        connections = here.transcriber.connections
        await eventually(lambda: len(here.transcriber.heard) == 1)
        await speak(listener)
        state = (await send(here, action="status")).state
        assert state is not None
        assert (state.paused, state.hearing, here.transcriber.connections) == (True, "paused", connections)
        assert (await send(here, action="resume")).accepted
        await speak(listener)
        await stored(here, 2)
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(talk)
        assert len(await finals(here)) == 2


async def test_every_command_is_answered_on_the_status_stream() -> None:
    """What it is, what it did, or why not; also for what is no command at all."""

    async def ask(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        state = (await send(here, action="status")).state
        assert state is not None
        assert (state.status, state.people, state.language) == ("active", 1, "en")
        assert "on this platform" in (await send(here, action="speak", text="canary")).detail
        assert "unknown action" in (await send(here, action="screen_show", url="canary")).detail
        await here.redis.publish("bot_commands:meeting:m1", "canary {")
        await eventually_answers(here, 4)
        assert (await send(here, action="leave", meeting_id=7)).accepted
        await stage.leave.wait()
        return SubCode.LEFT_BY_COMMAND

    async with world() as here:
        assert (await here.attend(ask, language="en")).code is SubCode.LEFT_BY_COMMAND
        said = await answers(here)
        assert [answer.action for answer in said] == ["status", "speak", "screen_show", "", "leave"]
        assert [answer.accepted for answer in said] == [True, False, False, False, True]
        assert "canary" not in json.dumps(await here.status_events())


async def eventually_answers(here: World, count: int) -> None:
    """Waits for so many answers in all."""
    async with asyncio.timeout(5):
        while len(await answers(here)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Chatty(Stage):
    """A scripted platform that can write into the chat, and is slow at it."""

    carries_out: frozenset[type[Order]] = frozenset({SendChat})  # type: ignore[misc]
    orders: Orders

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Keeps the orders."""
        self.orders = orders
        return await super().attend(invitation, listener, orders)


async def test_orders_reach_a_platform_that_carries_them_out() -> None:
    """What fits into its queue is accepted, and what does not is refused."""

    async def ask(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        assert (await send(here, action="chat", text="hello")).accepted
        assert isinstance(stage, Chatty)
        while stage.orders.give(SendChat("x")):
            pass
        refused = await send(here, action="chat", text="hello")
        assert (refused.accepted, refused.detail) == (False, "too many orders wait for the platform")
        assert await stage.orders.next() == SendChat("hello")
        return SubCode.MEETING_ENDED

    async with world() as here:
        assert (await here.attend(ask, stage=Chatty(ask))).code is SubCode.MEETING_ENDED


async def test_a_mute_transcriber_is_said() -> None:
    """Speech that is taken and never answered is on the status stream, of the track and of the room."""

    async def talk(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        here.transcriber.answers = False
        for _ in range(4):
            await speak(listener)
        async with asyncio.timeout(12):
            while not any(event.get("hearing") == "no_text" for event in await here.status_events()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(talk)
        subjects = [event["subject"] for event in await here.status_events() if event.get("hearing") == "no_text"]
        assert subjects == ["track:t1", "room"]


async def test_answers_come_before_anything_is_joined() -> None:
    """The channels are subscribed before the platform begins: an order of the first moment counts."""

    async def lobby(stage: Stage, listener: Listener) -> SubCode:
        answer = await send(here, "bot_commands:meeting:m1", action="reconfigure", language=None)
        assert answer.state is not None
        assert (answer.state.status, answer.state.language) == ("joining", None)
        return await one_utterance(stage, listener)

    async with world() as here:
        await here.attend(lobby, language="en")
        assert here.transcriber.handshakes[-1].handshake.language is None
