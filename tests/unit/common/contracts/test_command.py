"""Commands to a bot, built and read."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.command import MAX_COMMAND_CHARACTERS, Command, parse_command
from common.contracts.json_values import write
from tests.support.documents import texts

VALUES = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)


def test_a_command_is_its_action_and_the_rest() -> None:
    """The discriminator is `action`; everything else are arguments."""
    command = Command("reconfigure", {"language": "de"})
    assert command.as_json() == {"action": "reconfigure", "language": "de"}
    assert parse_command('{"language": "de", "action": "reconfigure"}') == command


@given(texts.filter(bool), st.dictionaries(texts.filter(lambda key: key != "action"), VALUES, max_size=3))
def test_any_command_reads_back(action: str, arguments: dict[str, object]) -> None:
    """Builder and parser are each other's inverse."""
    command = Command(action, arguments)
    assert parse_command(write(command.as_json())) == command


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("x" * (MAX_COMMAND_CHARACTERS + 1), "at most 65536 characters expected"),
        ("{canary", "JSON was expected"),
        ("[" * 50_000, "nested too deeply"),
        ('["canary"]', "a JSON object was expected"),
        ('{"act": "canary"}', "action: a word such as leave expected"),
        ('{"action": 1}', "action: a word such as leave expected"),
        ('{"action": ""}', "action: a word such as leave expected"),
    ],
)
def test_odd_messages_are_refused(message: str, why: str) -> None:
    """With a reason that quotes nothing: whoever may write to the channel cannot write to the log."""
    with pytest.raises(ValueError, match=why) as error:
        parse_command(message)
    assert "canary" not in str(error.value)


@given(st.text() | st.binary() | VALUES.map(json.dumps))
def test_any_message_is_a_command_or_refused(message: str | bytes) -> None:
    """Nothing but a ValueError comes out."""
    with suppress(ValueError):
        assert parse_command(message).action
