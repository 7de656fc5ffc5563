"""Commands as managers send them, read with the configuration's validators."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import read_command
from bot.core.events import CommandReceived
from bot.core.orders import SendChat, Speak
from bot.core.requests import CarryOut, ChangeSpeech, Leave, Pause, Request, TellState, Unusable


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"action": "leave"}, Leave()),
        ({"action": "leave", "meeting_id": 7}, Leave()),
        ({"action": "reconfigure", "uid": "u", "language": "de", "task": None}, ChangeSpeech({"language": "de"})),
        (
            {"action": "reconfigure", "language": None, "task": "translate"},
            ChangeSpeech({"language": None, "task": "translate"}),
        ),
        ({"action": "reconfigure", "language": "auto"}, ChangeSpeech({"language": None})),
        ({"action": "reconfigure", "language": "de-CH"}, ChangeSpeech({"language": "de"})),
        (
            {"action": "reconfigure", "allowed_languages": ["en", "pt"]},
            ChangeSpeech({"allowed_languages": ("en", "pt")}),
        ),
        ({"action": "reconfigure", "allowedLanguages": []}, ChangeSpeech({"allowed_languages": ()})),
        ({"action": "pause"}, Pause(True)),
        ({"action": "resume"}, Pause(False)),
        ({"action": "status"}, TellState()),
        ({"action": "speak", "text": "hello", "voice": "x"}, CarryOut(Speak("hello"))),
        ({"action": "chat", "text": "hi"}, CarryOut(SendChat("hi"))),
        ({"action": "chat_send", "text": "hi"}, CarryOut(SendChat("hi"))),
    ],
)
def test_what_managers_send_is_understood(message: dict[str, Any], request_: Request) -> None:
    """Both spellings, keys of theirs beside it, and null where they name nothing."""
    assert read_command(json.dumps(message)) == CommandReceived(message["action"], request_)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"action": "reconfigure", "language": "Klingon-canary"}, "language: "),
        ({"action": "reconfigure", "language": 7}, "language: "),
        ({"action": "reconfigure", "language": ["canary"]}, "language: "),
        ({"action": "reconfigure", "language": "de", "task": "canary"}, "task: 'transcribe' or 'translate'"),
        ({"action": "reconfigure", "allowed_languages": "canary"}, "allowed"),
        ({"action": "reconfigure", "allowedLanguages": ["en", "canary"]}, "allowedLanguages[1]: a language of"),
        ({"action": "reconfigure", "allowedLanguages": ["auto"]}, "allowedLanguages[0]: a language of Whisper's"),
        ({"action": "reconfigure", "language": "d\ud83d canary"}, "values: "),
        ({"action": "reconfigure"}, "none of language"),
        ({"action": "reconfigure", "task": None}, "none of language"),
        ({"action": "speak"}, "text: a text is missing"),
        ({"action": "speak", "text": 7}, "text: a text"),
        ({"action": "chat", "text": ""}, "text: "),
        ({"action": "chat", "text": "canary" * 1000}, "text: "),
        ({"action": "screen_show"}, "unknown action"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(message: dict[str, Any], named: str) -> None:
    """The answer says which key and what is allowed, and never what stood there: its sender may be anybody."""
    request = read_command(json.dumps(message)).request
    assert isinstance(request, Unusable)
    assert request.why.startswith(named)
    assert "canary" not in request.why


@pytest.mark.parametrize("message", [b"{not json", "[]", '{"no": "action"}', '{"action": 3}', b"\xff", "x" * 70_000])
def test_what_is_no_command_is_said(message: str | bytes) -> None:
    """Whoever sent it reads on the status stream why nothing happened."""
    command = read_command(message)
    assert command.action == ""
    assert isinstance(command.request, Unusable)
    assert command.request.why.startswith("not a command: ")


def test_the_senders_id_and_action_are_echoed() -> None:
    """Short and printable, whatever was sent."""
    command = read_command(json.dumps({"action": "dance\n\x1b[31m" + "x" * 100, "id": "7\r" + "y" * 100}))
    assert isinstance(command.command_id, str)
    assert len(command.action) <= 65 >= len(command.command_id)
    assert command.action.isprintable()


@pytest.mark.parametrize(
    ("sent", "echoed"), [("7", 7), ("-1", -1), ("true", None), ("7.5", None), ("[7]", None), (str(10**20), None)]
)
def test_a_senders_number_comes_back_as_it_was(sent: str, echoed: int | None) -> None:
    """Who compares the answer's id with their own finds it; what no reader of JSON keeps exactly is left out."""
    command_id = read_command(f'{{"action": "leave", "id": {sent}}}').command_id
    assert (command_id, type(command_id)) == (echoed, type(echoed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["action", "language", "task", "allowedLanguages", "allowed_languages", "text", "id"])
ACTIONS = st.sampled_from(["leave", "reconfigure", "pause", "resume", "status", "speak", "chat", "chat_send"])


@given(st.dictionaries(KEYS, JSON), st.none() | ACTIONS)
def test_any_message_is_a_request_or_a_refusal(message: dict[str, Any], action: str | None) -> None:
    """Nothing that somebody publishes raises."""
    if action is not None:
        message["action"] = action
    read_command(json.dumps(message))


@given(st.binary())
def test_any_bytes_are_a_request_or_a_refusal(message: bytes) -> None:
    """Nor does what is no JSON at all."""
    read_command(message)


@pytest.mark.parametrize("depth", [500, 20_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """Also where the outer parser would still take it."""
    message = '{"action": "reconfigure", "language": ' + "[" * depth + "]" * depth + "}"
    assert isinstance(read_command(message).request, Unusable)
