"""Commands: a message on the bot's channels, checked by the configuration's own validators, as an event for the core.

Unknown keys are fine: managers add ids of theirs. A bad value costs the command, and the answer says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints, ValidationError, create_model
from pydantic_core import ErrorDetails

from bot.config.model import BotConfig
from bot.core.events import CommandReceived
from bot.core.orders import SendChat, Speak
from bot.core.requests import CarryOut, ChangeSpeech, Leave, Pause, Request, SpeechChange, TellState, Unusable
from bot.settings import Settings
from common.contracts.command import Command, parse_command
from common.redact import printable

ACTIONS = ("leave", "reconfigure", "pause", "resume", "status", "speak", "chat")
"""What a bot may be asked to do."""
MAX_ECHO_CHARACTERS = 64
"""Of an action or an id, in the answer."""
MAX_ECHO_NUMBER = 1 << 53
"""Of an id that is a number, either way: beyond that readers of JSON may see another one."""
MAX_SAID_CHARACTERS = 4096
"""Of a text to speak or to write."""

_FIELDS: dict[str, Any] = {name: (field.annotation, field) for name, field in BotConfig.model_fields.items()}
_Speech = create_model("_Speech", __base__=Settings, **{name: _FIELDS[name] for name in SpeechChange.__annotations__})


class _Said(Settings):
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SAID_CHARACTERS)]


def read_command(message: str | bytes) -> CommandReceived:
    """Reads a message; one that is no command, or that asks for nothing we know, is `Unusable`."""
    try:
        command = parse_command(message)
    except ValueError as error:  # its words never quote the message
        return CommandReceived("", Unusable(f"not a command: {error}"))
    echo = _echo(command.arguments.get("id"))
    try:
        request = _request(command)
    except ValidationError as error:
        request = Unusable("; ".join(map(_words, error.errors())))
    return CommandReceived(printable(command.action, MAX_ECHO_CHARACTERS), request, echo)


def _echo(command_id: object) -> int | str | None:
    """A sender's id as it comes back: a number as it was, so that it equals what was sent; a text made printable."""
    if isinstance(command_id, str):
        return printable(command_id, MAX_ECHO_CHARACTERS)
    if isinstance(command_id, int) and not isinstance(command_id, bool) and abs(command_id) <= MAX_ECHO_NUMBER:
        return command_id
    return None


def _request(command: Command) -> Request:
    """What is asked for. Raises ValidationError."""
    match command.action:
        case "leave":
            return Leave()
        case "reconfigure":
            change = _change(command.arguments)
            return ChangeSpeech(change) if change else Unusable("none of language, task and allowedLanguages is given")
        case "pause" | "resume":
            return Pause(command.action == "pause")
        case "status":
            return TellState()
        case "speak":
            return CarryOut(Speak(_text(command.arguments)))
        case "chat" | "chat_send":
            return CarryOut(SendChat(_text(command.arguments)))
        case _:
            return Unusable(f"unknown action; known are {', '.join(ACTIONS)}")


def _change(arguments: Mapping[str, Any]) -> SpeechChange:
    """What is to become different: a key that is missing keeps its value, a `language` of null is to be detected.

    Null in the others is how managers say that they name nothing.
    """
    known = {spelling for name, field in _Speech.model_fields.items() for spelling in (name, field.alias)}
    given = {
        key: value for key, value in arguments.items() if key in known and (value is not None or key == "language")
    }
    speech = _Speech.model_validate_json(json.dumps(given), strict=True)
    change: SpeechChange = {name: getattr(speech, name) for name in speech.model_fields_set}  # type: ignore[assignment]
    return change


def _text(arguments: Mapping[str, Any]) -> str:
    return _Said.model_validate(arguments, strict=True).text


def _words(detail: ErrorDetails) -> str:
    """Which key, and what is allowed there; not what stood there, whose sender may be anybody."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    allowed = "a text is missing" if detail["type"] == "missing" else detail["msg"].removeprefix("Input should be ")
    return f"{path or 'values'}: {allowed.replace('a valid string', 'a text')}"
