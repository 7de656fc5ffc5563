"""Model of the bot's one JSON configuration: what every platform shares; each platform's own settings beside it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bot.config.rules import (
    check_callback_url,
    check_header_value,
    check_platform_name,
    check_process_url,
    check_redis_url,
    check_transcriber_url,
)
from bot.core.leave import LeaveSettings
from bot.core.requests import SpeechSettings
from bot.drivers.browser.settings import BrowserSettings
from bot.platforms import PLATFORMS, load
from bot.platforms.base import Invitation
from bot.settings import Id, Milliseconds, ObjectStoreSettings, Settings, Text
from common.contracts.languages import LANGUAGE_FORMS, language_code

HOUR_MS = 3_600_000


def _language(value: Any) -> Any:
    if value == "auto" or not isinstance(value, str):
        return None if value == "auto" else value
    if (code := language_code(value)) is None:
        raise PydanticCustomError("language", LANGUAGE_FORMS + ", or null to let the transcriber detect it")
    return code


def _listed_language(value: Any) -> str:
    if not isinstance(value, str) or (code := language_code(value)) is None:
        raise PydanticCustomError("language", LANGUAGE_FORMS)
    return code


def _meeting_id(value: Any) -> Any:
    usable = isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"[^\s\x00-\x1f\x7f]{1,256}", value))
    if not usable or isinstance(value, bool):
        raise PydanticCustomError("meeting_id", "a number, or a text of 1 to 256 characters without spaces")
    return value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Language = Annotated[str, WithJsonSchema({"type": "string", "examples": ["auto", "en", "pt-BR", "german"]})]
OptionalLanguage = Annotated[Language | None, BeforeValidator(_language)]
MeetingId = Annotated[
    Any,
    AfterValidator(_meeting_id),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1, "maxLength": 256}]}),
]
PlatformName = Annotated[str, AfterValidator(check_platform_name)]
TranscriberUrls = Annotated[
    tuple[Annotated[str, AfterValidator(check_transcriber_url)], ...],
    BeforeValidator(_as_tuple),
    Field(max_length=16),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 16}]}
    ),
]
CallbackUrl = Annotated[Text, AfterValidator(check_callback_url)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


class AutomaticLeave(Settings):
    """When the bot leaves by itself."""

    enabled: bool = Field(
        default=True, description="false: no rule about who is there, silence or `timeout`; the lobby's stays."
    )
    timeout: Milliseconds | None = Field(default=None, description="Planned time in the meeting, ms; null: none.")
    waiting_room_timeout: Milliseconds = Field(default=300_000, description="Longest wait in the lobby, ms.")
    no_one_joined_timeout: Milliseconds = Field(
        default=600_000, description="Leave when nobody else came for so long, ms."
    )
    everyone_left_timeout: Milliseconds = Field(default=120_000, description="Leave when alone again for so long, ms.")
    only_bots_left_timeout: Milliseconds = Field(
        default=120_000, description="Leave when only participants named as in `botNames` are left for so long, ms."
    )
    bot_names: tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...] = Field(
        default=("Earshot", "VexaBot-*"),
        max_length=64,
        description="Display names of bots, whatever their case: `*` any characters, `?` one. They keep nobody here.",
    )
    silence_timeout: Milliseconds | None = Field(
        default=None, description="Leave when all is heard and nobody speaks for so long, ms; null: never."
    )
    silence_after: Milliseconds = Field(
        default=1_200_000, description="Silence counts from so long after the beginning of the meeting, ms."
    )

    def rules(self, cap: int, unheeded: int, *, detects_speech: bool = True) -> LeaveSettings:
        """The leave rules, in seconds.

        Args:
            cap: Milliseconds after which the bot leaves whatever is switched off.
            unheeded: Milliseconds after which it does because no transcriber ever answered.
            detects_speech: False: nobody looks for speech, so that silence is none.
        """
        always = LeaveSettings(
            lobby=self.waiting_room_timeout / 1000,
            no_one_joined=None,
            everyone_left=None,
            only_bots_left=None,
            unheeded=unheeded / 1000,
            cap=cap / 1000,
        )
        if not self.enabled:
            return always
        return replace(
            always,
            no_one_joined=self.no_one_joined_timeout / 1000,
            everyone_left=self.everyone_left_timeout / 1000,
            only_bots_left=self.only_bots_left_timeout / 1000,
            silence=self.silence_timeout / 1000 if self.silence_timeout and detects_speech else None,
            silence_after=self.silence_after / 1000,
            total=None if self.timeout is None else self.timeout / 1000,
        )


class TextToSpeech(Settings):
    """Voice output. Accepted; the bot is silent for now and says so."""

    enabled: bool = Field(default=False, description="Without effect so far.")
    announce_join: bool = Field(default=False, description="Likewise.")
    announce_leave: bool = Field(default=False, description="Likewise.")
    announce_recording: bool = Field(default=False, description="Likewise.")


class RedisSettings(Settings):
    """What becomes of segments that wait for Redis, and of those that are in it."""

    spill_dir: Text | None = Field(
        default=None,
        description="Folder of a file for finals that memory (10,000 or 20 MB) has no room for; null: none.",
    )
    keep_entries: int | None = Field(
        default=None,
        ge=1_000,
        description="Entries that stay in `transcription_segments`, about, but for what a consumer group needs; null: "
        "all.",
    )
    keep_hours: float | None = Field(
        default=None, gt=0, description="Hours for which they stay at most, likewise; null: for ever."
    )


class AudioSettings(Settings):
    """How speakers share transcriber streams."""

    mode: Literal["lanes", "perParticipant", "mixed"] = Field(
        default="lanes",
        description="lanes: streams for those who speak at once; perParticipant: one for each; mixed: one for all.",
    )
    lanes_max: int = Field(default=3, ge=1, le=64, description="Streams open at once in mode `lanes`.")
    words: bool = Field(default=False, description="Segments carry their words, with times and probabilities.")


class RecordingSettings(Settings):
    """Audio files of the meeting, beside its transcript (docs/recording.md)."""

    dir: Text = Field(description="Folder; each meeting gets one of its own in it.")
    segment_seconds: int = Field(default=60, ge=5, le=3600, description="Meeting time in one file.")
    per_track: bool = Field(default=True, description="Files of each speaker's track.")
    mixed: bool = Field(default=False, description="Files of all tracks together.")
    format: Literal["wav", "flac"] = Field(default="wav", description="16 kHz mono, 16 bit; flac needs PyAV.")
    upload: bool = Field(default=False, description="Each finished file also goes to `objectStore`.")
    process_url: Annotated[Text | None, AfterValidator(check_process_url)] = Field(
        default=None, description="Each finished file is also posted here: `http://transcriber:9091/process`."
    )
    process_api_key: Annotated[SecretStr | None, AfterValidator(check_header_value)] = Field(
        default=None, description="Sent there as `Authorization: Bearer`."
    )

    @model_validator(mode="after")
    def _is_something_that_can_be_done(self) -> Self:
        if not self.per_track and not self.mixed:
            raise PydanticCustomError("recording", "perTrack or mixed, or both")
        if self.format == "flac" and importlib.util.find_spec("av") is None:
            raise PydanticCustomError("recording", "format wav; flac needs PyAV (extra webrtc)")
        return self


class BotConfig(Settings):
    """Everything one bot needs to know. Times in milliseconds."""

    platform: PlatformName = Field(description="The meeting platform.")
    meeting_url: Text | None = Field(default=None, description="Where the meeting is; its form depends on `platform`.")
    native_meeting_id: Text | None = Field(default=None, description="The platform's own id of the meeting.")
    connection_id: Id = Field(
        default_factory=lambda: str(uuid4()),
        description="Id of this bot: session uid, keys and channels. Default: a new UUID.",
    )
    meeting_id: MeetingId = Field(
        alias="meeting_id",
        default_factory=lambda data: data.get("native_meeting_id") or data.get("connection_id"),
        description="Id in Redis payloads and channels, as given. Default: `nativeMeetingId`, else `connectionId`.",
    )
    container_name: Text | None = Field(
        default=None, alias="container_name", description="Our container, echoed in status events."
    )
    bot_name: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        default="Earshot", description="Display name in the meeting."
    )
    token: SecretStr | None = Field(
        default=None,
        description="Opens the room where the platform says so, then never passed on. "
        "Elsewhere: opaque, passed on to Redis consumers.",
    )
    passcode: SecretStr | None = Field(default=None, description="Passcode of the meeting.")
    language: OptionalLanguage = Field(default=None, description="Spoken language; null: the transcriber detects it.")
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="translate: text in English.")
    allowed_languages: tuple[Annotated[Language, BeforeValidator(_listed_language)], ...] = Field(
        default=(), description="Languages to detect; empty: all."
    )
    redis_url: Annotated[SecretStr, AfterValidator(check_redis_url)] = Field(
        description="redis://[:password@]host:port[/db], rediss://… or unix://…; else environment REDIS_URL."
    )
    redis: RedisSettings = Field(default=RedisSettings(), description="What waits for Redis, and what stays in it.")
    transcriber_urls: TranscriberUrls = Field(
        default=(),
        alias="whisperLiveUrl",
        description="ws://host:port of the transcriber, or a list in order of failover; "
        "else env WHISPER_LIVE_URL, else a ws:// `transcriptionServiceUrl`.",
    )
    transcriber_api_key: Annotated[SecretStr | None, AfterValidator(check_header_value)] = Field(
        default=None,
        alias="whisperLiveApiKey",
        description="Sent to each transcriber as `Authorization: Bearer`; else env WHISPER_LIVE_API_KEY.",
    )
    transcribe_enabled: bool = Field(
        default=True, description="false: the bot joins and reports, and no audio leaves it; no transcriber is needed."
    )
    transcriber_max_connection_ms: Milliseconds | None = Field(
        default=None,
        alias="whisperLiveMaxConnectionMs",
        description="Connections are renewed, in a pause, before they are as old: a stock server's "
        "`max_connection_time`. null: learnt when a server ends one.",
    )
    transcriber_mute_timeout_ms: Milliseconds = Field(
        default=600_000,
        alias="whisperLiveMuteTimeoutMs",
        description="The bot ends when it has sent speech for so long and no transcriber ever answered.",
    )
    reconnection_interval_ms: Milliseconds = Field(
        default=2_000, description="Longest pause between tries to reach a transcriber."
    )
    automatic_leave: AutomaticLeave = Field(
        default=AutomaticLeave(), description="When the bot leaves by itself (docs/leaving.md)."
    )
    text_to_speech: TextToSpeech = Field(default=TextToSpeech(), description="Voice output: there is none so far.")
    audio: AudioSettings = Field(default=AudioSettings(), description="Streams to the transcriber (docs/lanes.md).")
    browser: BrowserSettings = Field(
        default=BrowserSettings(), description="Only for platforms in a web page (docs/browser.md)."
    )
    recording: RecordingSettings | None = Field(default=None, description="Audio files; null: none.")
    object_store: ObjectStoreSettings | None = Field(
        default=None,
        description="A bucket of S3, for `recording.upload` and `browser.evidenceUpload`.",
    )
    max_duration_ms: Milliseconds = Field(default=8 * HOUR_MS, description="The bot never stays longer than this.")
    publish: Literal["bot", "server"] = Field(
        default="bot", description="server: the transcriber writes segments to Redis itself."
    )
    bot_manager_callback_url: CallbackUrl | None = Field(
        default=None, description="Where status goes: a manager's http(s) URL, wire of v0.6 (docs/managers.md)."
    )
    meeting_api_callback_url: CallbackUrl | None = Field(
        default=None, description="The same, wire of v0.12; of v0.10 where it ends in /exited."
    )
    internal_secret: Annotated[SecretStr | None, AfterValidator(check_header_value)] = Field(
        default=None, description="Signs the status callbacks; a manager of v0.12 gets it as a header, too."
    )
    log_level: LogLevel = Field(default="info", description="Else environment LOG_LEVEL.")
    _transcriber_sources: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def transcriber_sources(self) -> Mapping[str, str]:
        """Where each transcriber's URL came from: the configuration's key, or an environment variable."""
        return self._transcriber_sources

    def found_at(self, transcriber_sources: Mapping[str, str]) -> None:
        """Notes where the transcribers' URLs came from."""
        self._transcriber_sources = transcriber_sources

    @property
    def platform_settings(self) -> Settings | None:
        """The platform's own settings, an instance of its model; None: not given, or it has none."""
        settings: Settings | None = getattr(self, self.platform, None)
        return settings

    def speech(self) -> SpeechSettings:
        """How speech is transcribed until a command changes it."""
        return SpeechSettings(self.language, self.task, self.allowed_languages)

    def invitation(self) -> Invitation:
        """What the platform gets to know of it."""
        return Invitation(
            meeting_url=self.meeting_url,
            native_meeting_id=self.native_meeting_id,
            connection_id=self.connection_id,
            bot_name=self.bot_name,
            settings=self.platform_settings,
            browser=self.browser,
            object_store=self.object_store,
            token=self.token.get_secret_value() if self.token else None,
            passcode=self.passcode.get_secret_value() if self.passcode else None,
        )


def model_of(platforms: Iterable[str]) -> type[BotConfig]:
    """`BotConfig` with the settings of these registered platforms, each under the platform's name."""
    owned = [(name, load(name).settings_model) for name in platforms]
    return _model(tuple(sorted(PLATFORMS)), tuple((name, model) for name, model in owned if model is not None))


@cache
def _model(registered: tuple[str, ...], owned: tuple[tuple[str, type[Settings]], ...]) -> type[BotConfig]:
    """Made once for each set of platforms: pydantic takes a few milliseconds for it."""
    known = Field(
        description=f"The meeting platform: {', '.join(registered)}.", json_schema_extra={"enum": list(registered)}
    )
    fields: dict[str, Any] = {
        name: (model | None, Field(default=None, alias=name, description=f"Only for platform {name}."))
        for name, model in owned
    }
    return create_model(
        "BotConfig", __base__=BotConfig, __doc__=BotConfig.__doc__, platform=(PlatformName, known), **fields
    )
