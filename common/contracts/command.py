"""A command: what a bot is asked to do, as it is published on the bot's channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.contracts.json_values import read_object

MAX_COMMAND_CHARACTERS = 64 * 1024
"""Longer ones are not read."""


@dataclass(frozen=True, slots=True)
class Command:
    """One order, such as `leave`.

    Args:
        action: What to do. Which actions there are is for the bot to know.
        arguments: Everything beside it.
    """

    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The message."""
        return {**self.arguments, "action": self.action}


def parse_command(message: str | bytes) -> Command:
    """Reads a message. Raises ValueError: it never quotes the message, whose sender may be anybody."""
    if len(message) > MAX_COMMAND_CHARACTERS:
        raise ValueError(f"at most {MAX_COMMAND_CHARACTERS} characters expected")
    value = read_object(message)
    action = value.get("action")
    if not isinstance(action, str) or not action:
        raise ValueError("action: a word such as leave expected")
    return Command(action, {key: item for key, item in value.items() if key != "action"})
