"""What Janus sends around the video room's own messages, as it should be and as it should not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from bot.platforms.base import Invitation
from bot.platforms.janus.room import JanusError, JanusRoom
from bot.platforms.janus.settings import JanusSettings
from bot.platforms.sfu.line import LineBroken
from bot.platforms.sfu.room import Encrypted, Refused
from common.contracts.status import SubCode
from tests.support.examples import MALFORMED
from tests.support.garbage import garbage


def room(lost: list[str] | None = None) -> JanusRoom:
    """One that has not been entered, on no connection."""
    settings = JanusSettings(room=1234, room_token=SecretStr("let-me-in"))
    invitation = Invitation("janus+ws://host", "bot-1", "Earshot", settings=settings, passcode="4711")
    return JanusRoom(None, invitation, lambda: None, (lost if lost is not None else []).append)  # type: ignore[arg-type]


def test_which_request_a_message_answers() -> None:
    """The last message of its transaction, not the acknowledgement before it; and what has none came unasked."""
    for message, key in (
        ({"janus": "event", "transaction": "7"}, "7"),
        ({"janus": "ack", "transaction": "7"}, None),
        ({"janus": "event"}, None),
        ({"janus": "event", "transaction": 7}, None),
    ):
        assert room().answers(message) == key


def test_the_end_of_a_session_and_of_a_track() -> None:
    """A session that Janus gave up is a broken line; a handle that is hung up is a lost track."""
    lost: list[str] = []
    here = room(lost)
    here._handle, here._hearing = 1, {"ana/0": 2}
    here.told({"janus": "hangup", "sender": 2})
    here.told({"janus": "hangup", "sender": 3})
    assert lost == ["ana/0"]
    for message in ({"janus": "timeout"}, {"janus": "detached", "sender": 1}):
        with pytest.raises(LineBroken):
            here.told(message)
    here.told({"janus": "event", "sender": 1, "plugindata": {"data": {"videoroom": "destroyed"}}})
    here.told({"janus": "event", "sender": 1, "plugindata": {"data": {"videoroom": "event", "leaving": 7}}})
    assert here.ended is SubCode.MEETING_ENDED  # whatever is still said behind it


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (403, "Unauthorized request", SubCode.TOKEN_REFUSED),
        (405, "Unauthorized access to plugin", SubCode.TOKEN_REFUSED),
        (460, "No such plugin", SubCode.JOIN_REFUSED),
        (426, "No such room (1234)", SubCode.MEETING_NOT_FOUND),
        (429, "Missing mandatory element (pin)", SubCode.PASSCODE_REFUSED),
        (433, "Unauthorized (wrong pin)", SubCode.PASSCODE_REFUSED),
        (433, "Unauthorized (not in the allowed list)", SubCode.TOKEN_REFUSED),
        (429, "Missing mandatory element (token)", SubCode.TOKEN_REFUSED),
        (432, "Maximum number of publishers (3) already reached", SubCode.MEETING_FULL),
        (None, None, SubCode.JOIN_REFUSED),
        ("?", {}, SubCode.JOIN_REFUSED),
    ],
)
def test_each_refusal_has_its_sub_code(code: Any, reason: Any, expected: SubCode) -> None:
    """With words for people, and neither pin nor token in them."""
    error = room()._refusal(JanusError(code, reason))
    assert error.code is expected
    assert not {"4711", "let-me-in"} & set(str(error).split())


async def test_who_comes_while_we_enter_is_heard() -> None:
    """News right behind the answer to `join`: the list in it is older than they are."""
    here = room()

    def event(data: dict[str, Any]) -> dict[str, Any]:
        return {"janus": "event", "sender": 2, "plugindata": {"data": data}}

    async def ask(key: str, message: dict[str, Any], heed: Any = None) -> dict[str, Any]:
        if heed is None:
            return {"janus": "success", "data": {"id": 2}}
        heed(answer := event({"videoroom": "joined", "id": 1, "private_id": 3, "publishers": []}))
        ana = {"id": 7, "display": "Ana", "streams": [{"type": "audio", "mid": "0", "codec": "opus"}]}
        here.told(event({"videoroom": "event", "publishers": [ana]}))
        return answer

    here.line.ask = ask  # type: ignore[method-assign, assignment]
    await here.enter()
    assert here.look()["7"].tracks == {"7/0": False}


async def test_a_track_that_cannot_be_had() -> None:
    """Gone meanwhile, refused, without an offer, or offered as end-to-end encrypted: each is said."""
    here, answers = room(), list[dict[str, Any]]()

    async def ask(key: str, message: dict[str, Any], heed: None = None) -> dict[str, Any]:
        asked = {"create": "id", "attach": "id"}.get(message["janus"])
        return {"janus": "success", "data": {"id": 2}} if asked else answers.pop()

    here.line.ask = ask  # type: ignore[method-assign, assignment]
    receiver: Any = None  # nothing of it is used
    with pytest.raises(Refused, match="not published"):
        await here.subscribe("ana/0", receiver)
    ana = {"id": "ana", "display": "Ana", "streams": [{"type": "audio", "mid": "0", "codec": "opus"}]}
    here._feeds.joined({"publishers": [ana]})
    for answer, expected in (
        ({"janus": "error", "error": {"code": 458, "reason": "No such session"}}, Refused),
        ({"plugindata": {"data": {"error_code": 428, "error": "No such feed"}}}, Refused),
        ({"jsep": {"type": "offer"}}, Refused),
        ({"jsep": {"type": "offer", "sdp": "v=0", "e2ee": True}}, Encrypted),
    ):
        answers.append(answer)
        with pytest.raises(expected):
            await here.subscribe("ana/0", receiver)


def test_garbage_ends_nothing_but_the_line() -> None:
    """Many envelopes of any shape: nothing is raised but LineBroken, where Janus says that the session is gone."""
    here = room()
    here._handle = 1
    keys = (
        "janus",
        "sender",
        "transaction",
        "plugindata",
        "data",
        "videoroom",
        "jsep",
        "error",
        "leaving",
        "publishers",
    )
    words = ("event", "hangup", "detached", "timeout", "ack", 1, "destroyed", "7", "ok")
    broken = 0
    for message in garbage(MALFORMED, keys, words):
        key = here.answers(message)
        assert key is None or isinstance(key, str)
        try:
            here.told(message)
        except LineBroken:
            broken += 1
    assert 0 < broken < 5_000
