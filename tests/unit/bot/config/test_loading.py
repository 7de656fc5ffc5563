"""The configuration: the users' own example, every error at once, secrets never shown."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.config import BotConfig, ConfigError, find_config, json_schema, load_config
from bot.platforms import PLATFORMS
from bot.platforms.livekit.settings import LiveKitSettings
from common.contracts.status import SubCode

USERS_EXAMPLE: dict[str, Any] = {
    "whisperLiveUrl": "ws://vexa-whisperlive-1:9090",
    "redisUrl": "redis://vexa-redis-1:6379",
    "textToSpeech": {"enabled": False, "announceJoin": False, "announceLeave": False, "announceRecording": False},
    "automaticLeave": {
        "enabled": False,
        "timeout": 999999,
        "waitingRoomTimeout": 300000,
        "noOneJoinedTimeout": 300000,
        "everyoneLeftTimeout": 300000,
    },
}
REHEARSAL = {"platform": "rehearsal", "meetingUrl": "rehearsal:meeting.json"}
LIVEKIT = {"platform": "livekit", "meetingUrl": "ws://livekit:7880", "token": "aaa.bbb.ccc"}
CANARIES = (
    "canary-token",
    "canary-pass",
    "canary-secret",
    "canary-key-secret",
    "canary-redis",
    "canary-query",
    "canary-asr",
)


def load(*parts: dict[str, Any], environment: dict[str, str] | None = None) -> tuple[BotConfig, list[str]]:
    """Loads the parts merged into one object."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return load_config(json.dumps(merged), environment or {}, in_container=False)


def problems(*parts: dict[str, Any], environment: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Path → (value, allowed) of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load(*parts, environment=environment)
    return {problem.path: (problem.value, problem.allowed) for problem in caught.value.problems}


def test_the_users_example_parses_as_it_is() -> None:
    """Every value of the example is honoured, without a warning."""
    config, warnings = load(USERS_EXAMPLE, REHEARSAL)
    assert warnings == []
    assert config.transcriber_urls == ("ws://vexa-whisperlive-1:9090",)
    assert config.redis_url.get_secret_value() == "redis://vexa-redis-1:6379"
    leave = config.automatic_leave
    assert (leave.enabled, leave.timeout, leave.waiting_room_timeout) == (False, 999999, 300000)
    assert (leave.no_one_joined_timeout, leave.everyone_left_timeout) == (300000, 300000)


def test_every_known_key_is_accepted_without_warning() -> None:
    """The keys that existing bot managers send are all known."""
    config, warnings = load(
        USERS_EXAMPLE,
        LIVEKIT,
        {
            "nativeMeetingId": "abc-defg",
            "meeting_id": 12,
            "connectionId": "c-1",
            "container_name": "vexa-bot-12",
            "botName": "Notes",
            "passcode": "1234",
            "language": "pt-BR",
            "task": "translate",
            "allowedLanguages": ["Portuguese"],
            "reconnectionIntervalMs": 500,
            "internalSecret": "s",
            "audio": {"mode": "perParticipant", "lanesMax": 5},
            "maxDurationMs": 60000,
            "publish": "server",
            "logLevel": "DEBUG",
        },
    )
    assert warnings == []
    assert (config.meeting_id, config.task, config.publish, config.log_level) == (12, "translate", "server", "debug")
    assert (config.audio.mode, config.audio.lanes_max) == ("perParticipant", 5)
    assert (config.language, config.allowed_languages) == ("pt", ("pt",))


def test_all_errors_come_at_once_with_path_value_and_what_is_allowed() -> None:
    """One run tells everything that is wrong."""
    found = problems(
        {
            "platform": "webex",
            "meeting_id": True,
            "language": "klingon",
            "task": "sing",
            "redisUrl": "http://redis",
            "whisperLiveUrl": ["ws://one:9090", "http://two", 3],
            "automaticLeave": {"timeout": "5", "waitingRoomTimeout": 0},
            "audio": {"mode": "stereo", "lanesMax": 0},
            "textToSpeech": 1,
            "connectionId": "with space",
            "botName": "",
            "maxDurationMs": -1,
        }
    )
    assert set(found) == {
        "platform",
        "meeting_id",
        "language",
        "task",
        "redisUrl",
        "whisperLiveUrl[1]",
        "whisperLiveUrl[2]",
        "automaticLeave.timeout",
        "automaticLeave.waitingRoomTimeout",
        "audio.mode",
        "audio.lanesMax",
        "textToSpeech",
        "connectionId",
        "botName",
        "maxDurationMs",
    }
    built = ", ".join(sorted(PLATFORMS))
    assert found["platform"] == ('"webex"', f"one of {built}")
    unit = "Planned time in the meeting, ms; null: none"
    assert found["automaticLeave.timeout"] == ('"5"', f"a valid integer ({unit})")
    assert found["botName"] == ('""', "at least 1 character")
    assert found["whisperLiveUrl[1]"][0] == '"http://two"'
    assert all(allowed for _, allowed in found.values())


def test_what_is_missing_is_named_with_what_is_needed() -> None:
    """No platform, no Redis, no transcriber: three errors, each with a hint."""
    found = problems({})
    assert set(found) == {"platform", "redisUrl", "whisperLiveUrl"}
    assert {value for value, _ in found.values()} == {"(missing)"}
    assert "livekit" in found["platform"][1]
    assert "WHISPER_LIVE_URL" in found["whisperLiveUrl"][1]


@pytest.mark.parametrize(
    ("parts", "paths"),
    [
        ({"platform": "livekit"}, {"meetingUrl", "token"}),
        ({"platform": "livekit", "meetingUrl": "https://x", "token": "t"}, {"meetingUrl"}),
        (
            {"platform": "livekit", "meetingUrl": "ws://x", "livekit": {"apiKey": "k"}},
            {"livekit.room", "livekit.apiSecret"},
        ),
        ({"platform": "rehearsal"}, {"meetingUrl"}),
        ({"platform": "rehearsal", "meetingUrl": "rehearsal+ws://"}, {"meetingUrl"}),
        ({"platform": "rehearsal", "meetingUrl": "rehearsal:"}, {"meetingUrl"}),
        ({"platform": "rehearsal", "meetingUrl": 3}, {"meetingUrl"}),
        ({"platform": "unheard-of"}, {"platform"}),
    ],
)
def test_each_platform_says_what_it_needs(parts: dict[str, Any], paths: set[str]) -> None:
    """Missing or wrong ways to find the room are errors of the configuration, one per key."""
    assert set(problems(USERS_EXAMPLE, parts)) == paths


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://:p@h:1/2", "rediss://u:p@h:6380", "unix:///run/redis.sock", "redis://[::1]:6379"]
)
def test_redis_urls(url: str) -> None:
    """Every form that the client understands is accepted."""
    assert load(USERS_EXAMPLE, REHEARSAL, {"redisUrl": url})[0].redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url", ["redis://", "redis://h:99999", "redis://h:x", "unix://x", "redis:h", "h:6379", "redis://[::1"]
)
def test_bad_redis_urls(url: str) -> None:
    """What the client could not use is refused before anything is joined."""
    assert "redisUrl" in problems(USERS_EXAMPLE, REHEARSAL, {"redisUrl": url})


def test_unknown_keys_warn_and_say_what_may_be_meant() -> None:
    """Typos are named, nested ones with their path; they never fail the start."""
    _, warnings = load(
        USERS_EXAMPLE, REHEARSAL, {"meetingURL": "x", "bot_name": "y", "zzz": 1, "automaticLeave": {"enabeld": True}}
    )
    assert sorted(warnings) == [
        "unknown key 'automaticLeave.enabeld' is ignored; did you mean automaticLeave.enabled?",
        "unknown key 'bot_name' is ignored; did you mean botName?",
        "unknown key 'meetingURL' is ignored; did you mean meetingUrl?",
        "unknown key 'zzz' is ignored",
    ]


def test_warnings_come_with_the_errors() -> None:
    """A typo is often why something is missing."""
    with pytest.raises(ConfigError) as caught:
        load(REHEARSAL, {"redis_url": "redis://h", "whisperLiveUrl": "ws://h"})
    assert caught.value.warnings == ["unknown key 'redis_url' is ignored; did you mean redisUrl?"]


def test_null_is_absent() -> None:
    """Senders that write null for what they do not set are understood, nested too."""
    config, warnings = load(
        USERS_EXAMPLE,
        REHEARSAL,
        {"language": None, "automaticLeave": {"timeout": None}, "audio": None, "livekit": None},
    )
    assert warnings == []
    assert config.automatic_leave.everyone_left_timeout == 120_000


def test_the_environment_fills_what_is_missing() -> None:
    """JSON first, then the environment; the fallback list gives the order of failover."""
    environment = {
        "WHISPER_LIVE_URL": "ws://gpu:9090",
        "WHISPER_LIVE_URL_FALLBACK": "ws://cpu:9090, ws://gpu:9090,",
        "REDIS_URL": "redis://env:6379",
        "LOG_LEVEL": "warning",
    }
    config, _ = load(REHEARSAL, environment=environment)
    assert config.transcriber_urls == ("ws://gpu:9090", "ws://cpu:9090")
    assert config.transcriber_sources == {
        "ws://gpu:9090": "environment WHISPER_LIVE_URL",
        "ws://cpu:9090": "environment WHISPER_LIVE_URL_FALLBACK",
    }
    assert config.redis_url.get_secret_value() == "redis://env:6379"
    assert config.log_level == "warning"
    config, _ = load(REHEARSAL, USERS_EXAMPLE, {"logLevel": "error"}, environment=environment)
    assert config.transcriber_urls == ("ws://vexa-whisperlive-1:9090", "ws://cpu:9090", "ws://gpu:9090")
    key, fallback = "whisperLiveUrl", "environment WHISPER_LIVE_URL_FALLBACK"
    assert list(config.transcriber_sources.values()) == [key, fallback, fallback]
    assert config.redis_url.get_secret_value() == "redis://vexa-redis-1:6379"
    assert config.log_level == "error"
    config, _ = load(REHEARSAL, USERS_EXAMPLE, {"whisperLiveUrl": ["ws://a", "ws://b"]}, environment=environment)
    assert config.transcriber_urls == ("ws://a", "ws://b")
    config, _ = load(
        REHEARSAL, USERS_EXAMPLE | {"whisperLiveUrl": None}, environment={"WHISPER_LIVE_URL_FALLBACK": "ws://c"}
    )
    assert config.transcriber_urls == ("ws://c",)


def test_an_error_from_the_environment_names_the_variable() -> None:
    """Who never wrote the key must learn where its value came from."""
    assert "redisUrl (from REDIS_URL)" in problems(REHEARSAL, environment={"REDIS_URL": "nonsense"})


def test_ids_fall_back() -> None:
    """meeting_id → nativeMeetingId → connectionId → a new UUID."""
    assert load(USERS_EXAMPLE, REHEARSAL, {"meeting_id": "7"})[0].meeting_id == "7"
    assert load(USERS_EXAMPLE, REHEARSAL, {"nativeMeetingId": "n", "connectionId": "c"})[0].meeting_id == "n"
    assert load(USERS_EXAMPLE, REHEARSAL, {"connectionId": "c"})[0].meeting_id == "c"
    first, second = (load(USERS_EXAMPLE, REHEARSAL)[0] for _ in range(2))
    assert first.meeting_id == first.connection_id != second.connection_id


def test_secrets_from_files(tmp_path: Path) -> None:
    """Every secret can come from a file named in the JSON or in the environment."""
    for name, content in (
        ("token", "from-json\n"),
        ("secret", "from-env"),
        ("redis", "redis://:pw@file:1"),
        ("empty", ""),
    ):
        (tmp_path / name).write_text(content)
    config, warnings = load(
        USERS_EXAMPLE | {"redisUrl": None},
        {"platform": "livekit", "meetingUrl": "wss://x", "tokenFile": str(tmp_path / "token")},
        {"livekit": {"room": "r", "apiKey": "k"}, "redisUrlFile": str(tmp_path / "redis")},
        environment={"LIVEKIT_API_SECRET_FILE": str(tmp_path / "secret"), "REDIS_URL": "redis://not-this-one"},
    )
    assert config.token is not None
    assert isinstance(config.platform_settings, LiveKitSettings)
    assert config.token.get_secret_value() == "from-json"
    assert config.platform_settings.api_secret == SecretStr("from-env")
    assert config.redis_url.get_secret_value() == "redis://:pw@file:1"
    assert warnings == ["token and livekit.apiSecret are both given: token is used, none is minted"]
    found = problems(
        USERS_EXAMPLE,
        REHEARSAL,
        {"tokenFile": str(tmp_path / "nope"), "passcodeFile": str(tmp_path / "empty"), "internalSecret": "a"},
        {"internalSecretFile": str(tmp_path / "token")},
    )
    assert set(found) == {"tokenFile", "passcodeFile", "internalSecretFile"}


def test_a_secret_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    """With the reason; that the secret is missing then follows from it, whoever asks for it."""
    nope = str(tmp_path / "nope")
    (tmp_path / "empty").write_text(" \n")
    found = problems(
        USERS_EXAMPLE | {"redisUrl": None},
        LIVEKIT | {"token": None, "livekit": {"room": "r", "apiKey": "k"}},
        {"redisUrlFile": nope},
        environment={"LIVEKIT_API_SECRET_FILE": str(tmp_path / "empty")},
    )
    assert set(found) == {"redisUrlFile", "LIVEKIT_API_SECRET_FILE"}
    assert "(No such file or directory)" in found["redisUrlFile"][1]
    assert "(it is empty)" in found["LIVEKIT_API_SECRET_FILE"][1]
    assert set(problems(USERS_EXAMPLE, LIVEKIT | {"token": None, "tokenFile": nope})) == {"tokenFile"}


def test_the_transcribers_key_comes_from_four_places(tmp_path: Path) -> None:
    """JSON, a file that it names, the environment, a file that that names; a key that fits into no header is none."""

    def key(part: dict[str, Any], **environment: str) -> str | None:
        secret = load(USERS_EXAMPLE, REHEARSAL, part, environment=environment)[0].transcriber_api_key
        return secret.get_secret_value() if secret else None

    (file := tmp_path / "key").write_text("from-file\n", encoding="utf-8")
    assert key({}) is None
    assert key({"whisperLiveApiKey": "from-json"}, WHISPER_LIVE_API_KEY="from-env") == "from-json"
    assert key({"whisperLiveApiKeyFile": str(file)}, WHISPER_LIVE_API_KEY="from-env") == "from-file"
    assert key({}, WHISPER_LIVE_API_KEY="from-env", WHISPER_LIVE_API_KEY_FILE=str(file)) == "from-env"
    assert key({}, WHISPER_LIVE_API_KEY_FILE=str(file)) == "from-file"
    found = problems(USERS_EXAMPLE, REHEARSAL, environment={"WHISPER_LIVE_API_KEY": "two words"})
    assert list(found) == ["whisperLiveApiKey (from WHISPER_LIVE_API_KEY)"]
    assert "two" not in str(found)


def test_secrets_are_never_shown() -> None:
    """Neither repr, nor the masked form, nor an error has a canary; the log's redaction knows them all."""
    settings = {
        "token": CANARIES[0],
        "passcode": CANARIES[1],
        "internalSecret": CANARIES[2],
        "livekit": {"room": "r", "apiKey": "k", "apiSecret": CANARIES[3]},
        "redisUrl": f"redis://user:{CANARIES[4]}@h:1",
        "whisperLiveUrl": f"ws://h:1/?key={CANARIES[5]}",
        "whisperLiveApiKey": CANARIES[6],
    }
    config, _ = load(LIVEKIT, settings)
    shown = repr(config) + str(config) + json.dumps(config.masked())
    with pytest.raises(ConfigError) as caught:
        load({**settings, "platform": "nope", "redisUrl": f"redis://:{CANARIES[4]}@:x", "token": [CANARIES[0]]})
    shown += str(caught.value) + repr(caught.value) + "".join(map(repr, caught.value.problems))
    for canary in CANARIES:
        assert canary not in shown
    assert set(CANARIES) <= set(config.secrets())
    assert "redis://***@h:1" in shown, "where Redis is can still be seen"


def test_settings_worth_a_warning() -> None:
    """localhost in a container, abilities that are not there yet, a weak key: accepted and said."""
    text = json.dumps(
        {
            **LIVEKIT,
            "token": None,
            "livekit": {"room": "r", "apiKey": "devkey", "apiSecret": "secret"},
            "whisperLiveUrl": ["ws://127.0.0.1:9090", "ws://whisper:9090"],
            "redisUrl": "redis://localhost",
            "textToSpeech": {"enabled": True},
            "botManagerCallbackUrl": "http://m/exited",
            "meetingApiCallbackUrl": "http://m/lifecycle",
            "recording": {"dir": "/r", "processUrl": "http://localhost:9091/process"},
            "objectStore": {"endpoint": "http://[::1]:9000", "bucket": "files", "accessKey": "a", "secretKey": "s"},
        }
    )
    _, warnings = load_config(text, {}, in_container=True)
    starts = [warning.split(" ")[0] for warning in warnings]
    here = ["whisperLiveUrl", "redisUrl", "recording.processUrl", "objectStore.endpoint"]
    assert starts == [*here, "textToSpeech.enabled", "botManagerCallbackUrl", "livekit.apiSecret"]
    assert warnings[0].endswith("such as transcriber")
    assert warnings[1].endswith("such as redis")
    assert len(load_config(text, {}, in_container=False)[1]) == 3


@pytest.mark.parametrize(
    ("text", "words"), [("{", "line 1 column 2"), ("[]", "one JSON object"), ("[" * 100_000, "JSON")]
)
def test_what_is_not_a_json_object_is_unreadable(text: str, words: str) -> None:
    """The place of the syntax error is named; the text itself, which may hold secrets, is not shown."""
    with pytest.raises(ConfigError) as caught:
        load_config(text, {})
    assert caught.value.code is SubCode.CONFIG_UNREADABLE
    assert words in str(caught.value)


def test_comment_lines_are_allowed() -> None:
    """Whole lines beginning with // are comments; a // inside a value is not."""
    text = '// a bot\n{\n  // where\n  "platform": "rehearsal", "meetingUrl": "rehearsal:x"\n}'
    assert load_config(text, {"REDIS_URL": "redis://h", "WHISPER_LIVE_URL": "ws://h"})[0].platform == "rehearsal"


def test_where_the_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config, then VEXA_BOT_CONFIG, then BOT_CONFIG; none or an unreadable one is said."""
    (tmp_path / "bot.json").write_text("{1}")
    both = {"VEXA_BOT_CONFIG": "{2}", "BOT_CONFIG": "{3}"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("{0}"))
    assert find_config("-", both) == "{0}"
    assert find_config(str(tmp_path / "bot.json"), both) == "{1}"
    assert find_config(None, both) == "{2}"
    assert find_config(None, {"VEXA_BOT_CONFIG": "", "BOT_CONFIG": "{3}"}) == "{3}"
    for path, environment in ((None, {}), (str(tmp_path / "none.json"), both)):
        with pytest.raises(ConfigError) as caught:
            find_config(path, environment)
        assert caught.value.code is SubCode.CONFIG_UNREADABLE
        assert caught.value.exit_code == 2


def test_settings_of_another_platform_are_ignored_and_said() -> None:
    """Known keys, so no typo is guessed; not checked either, and nothing of them is in effect."""
    config, warnings = load(USERS_EXAMPLE, REHEARSAL, {"livekit": {"room": 7, "secret": "canary"}})
    assert warnings == ["livekit is ignored: these are settings of another platform than rehearsal"]
    assert "livekit" not in config.masked()
    assert set(problems(USERS_EXAMPLE, {"platform": "nope", "livekit": 1})) == {"platform"}


@pytest.mark.parametrize("name", ["unheard-of", ["livekit"], {"livekit": 1}, 7, True])
def test_a_platform_that_there_is_not(name: Any) -> None:
    """One error, whatever stands there."""
    assert set(problems(USERS_EXAMPLE, {"platform": name})) == {"platform"}


def test_the_schema_knows_every_key_and_file_variant() -> None:
    """The schema describes the file as written: aliases, …File variants, only `platform` always required."""
    schema = json_schema()
    assert schema["required"] == ["platform"]
    assert {"meetingUrl", "meeting_id", "container_name", "whisperLiveUrl", "tokenFile", "redisUrlFile"} <= set(
        schema["properties"]
    )
    assert {"apiSecretFile", "encryptionKeyFile"} <= set(schema["$defs"]["LiveKitSettings"]["properties"])
    assert "whisperLiveUrlFile" not in schema["properties"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
KEYS = sorted(json_schema()["properties"])


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=10), JSON_VALUES, max_size=8))
def test_any_json_object_gives_a_configuration_or_a_documented_error(value: dict[str, Any]) -> None:
    """No input reaches a traceback."""
    with contextlib.suppress(ConfigError):
        load_config(json.dumps(value), {}, in_container=True)
