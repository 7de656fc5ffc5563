"""The bot's one JSON configuration: what may stand in it, read and checked at once, secrets never printed.

`load_config` reports every error together (path, value, what is allowed) and names unknown keys. Lines that begin with
`//` are comments.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from bot.config.rules import (
    check_header_value,
    check_platform_name,
    check_redis_url,
    check_transcriber_url,
    config_warnings,
    platform_problems,
)
from bot.config.sources import clean, problem_of, secret_values, with_environment
from bot.platforms import PLATFORMS
from common.contracts.status import SubCode
from common.problems import ConfigError, Problem, shown
from common.redact import redact_url

__all__ = ["BotConfig", "ConfigError", "Problem", "find_config", "json_schema", "load_config"]

HOUR_MS = 3_600_000
Milliseconds = Annotated[int, Field(gt=0, le=30 * 24 * HOUR_MS)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$")]


def _language(value: Any) -> Any:
    if value == "auto":
        return None
    if isinstance(value, str) and not re.fullmatch(r"[a-z]{2,3}", value):
        raise PydanticCustomError(
            "language", "a language code such as en, de or pt, or null to let the transcriber detect it"
        )
    return value


def _meeting_id(value: Any) -> Any:
    usable = isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,256}", value))
    if not usable or isinstance(value, bool):
        raise PydanticCustomError("meeting_id", "a number, or a text of 1 to 256 characters without spaces")
    return value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Language = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^(auto|[a-z]{2,3})$"})]
OptionalLanguage = Annotated[Language | None, BeforeValidator(_language)]
MeetingId = Annotated[
    Any,
    AfterValidator(_meeting_id),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1, "maxLength": 256}]}),
]
PlatformName = Annotated[
    str, AfterValidator(check_platform_name), WithJsonSchema({"type": "string", "enum": sorted(PLATFORMS)})
]
TranscriberUrls = Annotated[
    tuple[Annotated[str, AfterValidator(check_transcriber_url)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1, max_length=16),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 16}]}
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


_SPELLED_OTHERWISE = {
    "meeting_id": "meeting_id",
    "container_name": "container_name",
    "transcriber_urls": "whisperLiveUrl",
    "transcriber_api_key": "whisperLiveApiKey",
}


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        alias_generator=lambda name: _SPELLED_OTHERWISE.get(name) or to_camel(name),
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    def masked(self) -> dict[str, Any]:
        """The effective settings as JSON values, every secret replaced by `***`."""
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            values[field.alias or name] = value.masked() if isinstance(value, _Settings) else _masked(value)
        return values

    def __repr_args__(self) -> Any:
        return self.masked().items()


class AutomaticLeave(_Settings):
    """When the bot leaves by itself. `enabled: false` switches every rule off but the lobby's and `maxDurationMs`."""

    enabled: bool = Field(default=True, description="false: no leave rule, `timeout` included.")
    timeout: Milliseconds | None = Field(default=None, description="Planned time in the meeting, ms; null: none.")
    waiting_room_timeout: Milliseconds = Field(default=300_000, description="Longest wait in the lobby, ms.")
    no_one_joined_timeout: Milliseconds = Field(
        default=600_000, description="Leave when nobody else came for so long, ms."
    )
    everyone_left_timeout: Milliseconds = Field(default=120_000, description="Leave when alone again for so long, ms.")


class TextToSpeech(_Settings):
    """Voice output. Accepted; the bot is silent for now and says so."""

    enabled: bool = False
    announce_join: bool = False
    announce_leave: bool = False
    announce_recording: bool = False


class LiveKitSettings(_Settings):
    """How to mint a room token (subscribe-only, hidden, this one room) when no `token` is given."""

    room: Text = Field(description="Name of the LiveKit room.")
    identity: Id | None = Field(default=None, description="Our identity in the room; default: `connectionId`.")
    name: Text | None = Field(default=None, description="Our display name; default: `botName`.")
    api_key: Text = Field(description="Key of the LiveKit server.")
    api_secret: SecretStr = Field(description="Secret that belongs to `apiKey`.", min_length=1)


class AudioSettings(_Settings):
    """How speakers share transcriber streams."""

    mode: Literal["lanes", "perParticipant", "mixed"] = "lanes"
    lanes_max: int = Field(default=3, ge=1, le=64, description="Streams open at once in mode `lanes`.")


class BotConfig(_Settings):
    """Everything one bot needs to know. Times in milliseconds."""

    platform: PlatformName = Field(description=f"The meeting platform: {', '.join(sorted(PLATFORMS))}.")
    meeting_url: Text | None = Field(default=None, description="Where the meeting is; its form depends on `platform`.")
    native_meeting_id: Text | None = Field(default=None, description="The platform's own id of the meeting.")
    connection_id: Id = Field(
        default_factory=lambda: str(uuid4()),
        description="Id of this bot: session uid, keys and channels. Default: a new UUID.",
    )
    meeting_id: MeetingId = Field(
        default_factory=lambda data: data.get("native_meeting_id") or data.get("connection_id"),
        description="Id in Redis payloads and channels, as given. Default: `nativeMeetingId`, else `connectionId`.",
    )
    container_name: Text | None = Field(default=None, description="Our container, echoed in status events.")
    bot_name: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        default="Earshot", description="Display name in the meeting."
    )
    token: SecretStr | None = Field(
        default=None,
        description="livekit: the room JWT, never passed on. Elsewhere: opaque, passed on to Redis consumers.",
    )
    passcode: SecretStr | None = Field(default=None, description="Passcode of the meeting.")
    language: OptionalLanguage = Field(default=None, description="Spoken language; null: the transcriber detects it.")
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="translate: text in English.")
    allowed_languages: tuple[Annotated[Language, BeforeValidator(_language)], ...] = Field(
        default=(), description="Languages to detect; empty: all."
    )
    redis_url: Annotated[SecretStr, AfterValidator(check_redis_url)] = Field(
        description="redis://[:password@]host:port[/db], rediss://… or unix://…; else environment REDIS_URL."
    )
    transcriber_urls: TranscriberUrls = Field(
        description="ws://host:port of the transcriber, or a list in order of failover; else env WHISPER_LIVE_URL.",
    )
    transcriber_api_key: Annotated[SecretStr | None, AfterValidator(check_header_value)] = Field(
        default=None, description="Sent to each transcriber as `Authorization: Bearer`; else env WHISPER_LIVE_API_KEY."
    )
    reconnection_interval_ms: Milliseconds = Field(
        default=2_000, description="Longest pause between tries to reach a transcriber."
    )
    automatic_leave: AutomaticLeave = AutomaticLeave()
    text_to_speech: TextToSpeech = TextToSpeech()
    livekit: LiveKitSettings | None = Field(default=None, description="Only for platform livekit: mint the room token.")
    audio: AudioSettings = AudioSettings()
    max_duration_ms: Milliseconds = Field(default=8 * HOUR_MS, description="The bot never stays longer than this.")
    publish: Literal["bot", "server"] = Field(
        default="bot", description="server: the transcriber writes segments to Redis itself."
    )
    bot_manager_callback_url: Text | None = Field(default=None, description="Status callback, older wire.")
    meeting_api_callback_url: Text | None = Field(default=None, description="Status callback, newer wire.")
    internal_secret: SecretStr | None = Field(default=None, description="Shared secret of the status callbacks.")
    log_level: LogLevel = Field(default="info", description="Else environment LOG_LEVEL.")

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, passwords inside URLs too, for the redaction of logs."""
        return secret_values(self)


def _masked(value: Any) -> Any:
    """A settings value as JSON, without secrets."""
    match value:
        case SecretStr():
            return redact_url(value.get_secret_value())
        case str() if "://" in value:
            return redact_url(value)
        case tuple():
            return [_masked(item) for item in value]
    return value


def find_config(path: str | None, environment: Mapping[str, str]) -> str:
    """The configuration's text: file `path` or `-` (standard input), else VEXA_BOT_CONFIG, else BOT_CONFIG.

    Raises:
        ConfigError: CONFIG_UNREADABLE when there is none, or the file cannot be read.
    """
    if path == "-":
        return sys.stdin.read()
    if path is not None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConfigError(
                SubCode.CONFIG_UNREADABLE, [Problem("--config", shown(path), f"a readable JSON file ({reason})")]
            ) from None
    for name in ("VEXA_BOT_CONFIG", "BOT_CONFIG"):
        if environment.get(name):
            return environment[name]
    allowed = "--config FILE, --config - for standard input, or the JSON itself in VEXA_BOT_CONFIG or BOT_CONFIG"
    raise ConfigError(SubCode.CONFIG_UNREADABLE, [Problem("configuration", "(none given)", allowed)])


def load_config(
    text: str, environment: Mapping[str, str], *, in_container: bool | None = None
) -> tuple[BotConfig, list[str]]:
    """Reads and checks a configuration.

    Args:
        text: The JSON object; whole lines beginning with `//` are comments.
        environment: Where missing fields and `…_FILE` secrets come from.
        in_container: Whether `localhost` is a mistake; None: look.

    Returns:
        The configuration and warnings for the log.

    Raises:
        ConfigError: CONFIG_UNREADABLE (not a JSON object) or CONFIG_INVALID with every problem.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    origins: dict[str, str] = {}
    raw = with_environment(_parse(text), environment, origins)
    cleaned = clean(BotConfig, raw, environment, problems, warnings)
    config: BotConfig | None = None
    try:
        config = BotConfig.model_validate_json(json.dumps(cleaned), strict=True)
    except ValidationError as error:
        details = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        problems += [problem_of(detail, BotConfig, cleaned, origins) for detail in details]
    told = {problem.path for problem in problems}
    problems += [problem for problem in platform_problems(cleaned) if problem.path not in told]
    if problems or config is None:
        raise ConfigError(SubCode.CONFIG_INVALID, problems, warnings)
    if in_container is None:
        in_container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    return config, warnings + config_warnings(config, in_container)


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(re.sub(r"(?m)^[ \t]*//.*$", "", text))
    except (json.JSONDecodeError, RecursionError) as error:
        where = (
            f", line {error.lineno} column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise ConfigError(
            SubCode.CONFIG_UNREADABLE, [Problem("configuration", "(not JSON)", f"one JSON object{where}")]
        ) from None
    if not isinstance(value, dict):
        raise ConfigError(
            SubCode.CONFIG_UNREADABLE, [Problem("configuration", f"(a JSON {type(value).__name__})", "one JSON object")]
        )
    return value


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file, `…File` variants of secrets included."""
    schema = BotConfig.model_json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        for name, field in list(part["properties"].items()):
            if "password" in json.dumps(field):
                part["properties"][f"{name}File"] = {
                    "type": "string",
                    "description": f"Path of a file that holds `{name}`.",
                }
                if name in part.get("required", []):
                    part["required"].remove(name)
    schema["required"] = ["platform"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Earshot bot configuration"} | schema
