"""A platform from outside `bot/`: one folder (`toy/`) and one line in the registry are all that it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import Field

from bot.config import BotConfig, ConfigError, json_schema, load_config
from bot.platforms import PLATFORMS, load
from bot.platforms.base import Invitation
from bot.settings import Settings, Text
from tests.platforms.contract import PlatformContract, Room
from tests.platforms.toy import Toy, ToySettings
from tests.platforms.toy.room import invited, toy_room

FOLDER = Path(__file__).parent / "toy"
LINE = "tests.platforms.toy:Toy"
GOOD: dict[str, Any] = {
    "platform": "toy",
    "meetingUrl": "toy://127.0.0.1:7",
    "toy": {"room": "standup", "roomKey": "canary-key"},
    "passcode": "1234",
    "redisUrl": "redis://:canary-redis@h",
    "whisperLiveUrl": "ws://h",
    "whisperLiveApiKey": "canary-asr",
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(PLATFORMS, "toy", LINE)


def given(**changes: Any) -> tuple[BotConfig, list[str]]:
    """A good configuration with changes, loaded; a change to None takes a key away."""
    return load_config(json.dumps(GOOD | changes), {}, in_container=False)


def problems(**changes: Any) -> dict[str, tuple[str, str]]:
    """Path → (value, allowed) of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        given(**changes)
    return {problem.path: (problem.value, problem.allowed) for problem in caught.value.problems}


class TestToy(PlatformContract):
    """The contract suite."""

    platform = "toy"
    has_lobby = True

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return toy_room(lobby)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        async with toy_room() as room:
            yield invited(room.url, key="another")

    def unreachable(self) -> tuple[Invitation, str]:
        return invited("toy://127.0.0.1:1"), "127.0.0.1:1"


def test_its_settings_reach_it_and_nothing_of_ours_does() -> None:
    """The invitation has its settings, ids and the room's secrets; neither Redis nor the transcriber."""
    config, warnings = given()
    assert warnings == []
    invitation = config.invitation()
    assert isinstance(invitation.settings, ToySettings)
    assert invitation.settings.room_key.get_secret_value() == "canary-key"
    assert (invitation.meeting_url, invitation.bot_name, invitation.passcode) == (GOOD["meetingUrl"], "Earshot", "1234")
    assert "canary" not in repr(invitation)
    values = [getattr(invitation, name) for name in Invitation.__slots__]
    assert not [value for value in values if "canary-redis" in str(value) or "canary-asr" in str(value)]


def test_its_errors_are_errors_of_the_configuration() -> None:
    """What its rule misses and what its model refuses: all at once, with path, value and what is allowed."""
    assert problems(meetingUrl="https://h", toy=None, task="sing") == {
        "meetingUrl": ('"https://h"', "for toy: toy://host:port"),
        "toy": ("(missing)", "for toy: {room, roomKey}"),
        "task": ('"sing"', "'transcribe' or 'translate'"),
    }
    assert problems(toy={"room": 7, "roomKey": ["canary-key"]}) == {
        "toy.room": ("7", "a valid string"),
        "toy.roomKey": ("***", "a valid string"),
    }
    assert problems(toy="standup") == {"toy": ('"standup"', "an object")}
    assert problems(platform="toys")["platform"] == ('"toys"', f"one of {', '.join(sorted(PLATFORMS))}")


def test_its_warnings_and_unknown_keys_are_said() -> None:
    """A typo is named with its path, and what the platform itself thinks comes with it."""
    _, warnings = given(toy={"room": "r", "roomKey": "short", "roomkeys": 1})
    assert warnings == [
        "unknown key 'toy.roomkeys' is ignored; did you mean toy.roomKey?",
        "toy.roomKey is short",
    ]


def test_its_secrets_are_never_shown_and_come_from_files(tmp_path: Path) -> None:
    """Masked where the configuration is printed, known to the log's redaction, read from the file that is named."""
    config, _ = given()
    assert config.masked()["toy"] == {"room": "standup", "roomKey": "***"}
    assert "canary-key" not in repr(config)
    assert "canary-key" in config.secrets()
    (tmp_path / "key").write_text("from-file\n")
    config, _ = given(toy={"room": "r", "roomKeyFile": str(tmp_path / "key")})
    assert "from-file" in config.secrets()
    environment = {"TOY_ROOM_KEY_FILE": str(tmp_path / "key")}
    config, _ = load_config(json.dumps(GOOD | {"toy": {"room": "r"}}), environment, in_container=False)
    assert "from-file" in config.secrets()


def test_the_schema_has_its_settings() -> None:
    """Under its name, with the file variant of its secret, and its name among the platforms."""
    schema = json_schema()
    assert schema["properties"]["platform"]["enum"] == sorted(PLATFORMS)
    assert "toy" in schema["properties"]["platform"]["description"]
    assert set(schema["$defs"]["ToySettings"]["properties"]) == {"room", "roomKey", "roomKeyFile"}
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(GOOD | {"toy": {"room": 7}}, schema)


def test_a_word_in_a_description_makes_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is a secret has a `…File` key in the schema, as in a configuration."""

    class Plain(Settings):
        door: Text = Field(description="What is written on the door; no password.")

    monkeypatch.setattr(Toy, "settings_model", Plain)
    assert set(json_schema()["$defs"]["Plain"]["properties"]) == {"door"}


def test_its_example_loads_and_its_guide_is_there() -> None:
    """The folder is all there is of it."""
    config, warnings = load_config((FOLDER / "example.jsonc").read_text(encoding="utf-8"), {}, in_container=False)
    assert warnings == []
    assert load("toy").claims(config.meeting_url or "")
    assert (FOLDER / "README.md").is_file()


def test_its_token_is_the_consumers() -> None:
    """Nothing is ours alone unless a platform says so."""
    assert not Toy.token_opens_room
    assert given(token="opaque")[0].invitation().token == "opaque"


@pytest.mark.processes
def test_it_is_imported_only_when_it_is_used() -> None:
    """Neither the registry nor another platform's configuration imports it; its own description needs no room."""
    program = (
        "import json, sys; from bot.platforms import PLATFORMS; from bot.config import load_config\n"
        f"PLATFORMS['toy'] = {LINE!r}\n"
        "links = {'redisUrl': 'redis://h', 'whisperLiveUrl': 'ws://h'}\n"
        "seen = lambda: sorted(name for name in sys.modules if name.startswith('tests.platforms.toy'))\n"
        "load_config(json.dumps(links | {'platform': 'rehearsal', 'meetingUrl': 'rehearsal:x', 'toy': {}}), {})\n"
        "print(seen())\n"
        "toy = {'platform': 'toy', 'meetingUrl': 'toy://h:1', 'toy': {'room': 'r', 'roomKey': 'k'}}\n"
        "load_config(json.dumps(links | toy), {})\n"
        "print(seen())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=True)
    assert ran.stdout.splitlines() == ["[]", "['tests.platforms.toy']"]
