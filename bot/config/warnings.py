"""Warnings: settings that are valid and probably not what their author wants."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.config.model import BotConfig
from common.contracts.generations import Generation, callback_target

STAY_MS, RULE_MS, PLATFORM_MS = 60_000, 5_000, 1_000
"""The shortest time that is taken for one: for the whole stay, for a rule about it, and for one of a platform."""


def config_warnings(config: BotConfig, in_container: bool) -> list[str]:
    """Settings that are valid and probably not what their author wants."""
    warnings = []
    if in_container:
        urls = [
            *(("whisperLiveUrl", "transcriber", url) for url in config.transcriber_urls),
            ("redisUrl", "redis", config.redis_url.get_secret_value()),
            ("botManagerCallbackUrl", "bot-manager", config.bot_manager_callback_url),
            ("meetingApiCallbackUrl", "meeting-api", config.meeting_api_callback_url),
            ("recording.processUrl", "transcriber", config.recording.process_url if config.recording else None),
            ("objectStore.endpoint", "minio", config.object_store.endpoint if config.object_store else None),
        ]
        for name, service, url in urls:
            if url is not None and _is_local(url):
                warnings.append(
                    f"{name} points to {urlsplit(url).hostname}: inside a container that is the bot itself, "
                    "not the host or another container; use the service's name on the container network, "
                    f"such as {service}"
                )
    if config.text_to_speech.enabled:
        warnings.append("textToSpeech.enabled is true, but the bot has no voice yet: it stays silent")
    if config.automatic_leave.silence_timeout is not None and not config.transcribe_enabled:
        warnings.append(
            "automaticLeave.silenceTimeout is ignored: transcribeEnabled is false, and so nobody looks for speech"
        )
    if config.language is not None and set(config.allowed_languages) - {config.language}:
        warnings.append(
            f"allowedLanguages is ignored: language is {config.language}, and all speech is taken for that; "
            "without it those are detected"
        )
    return warnings + _short_times(config) + _manager_warnings(config)


def _short_times(config: BotConfig) -> list[str]:
    """Times that were meant as seconds, it seems: with 60 the bot leaves at once, and nobody knows why."""
    leave = config.automatic_leave.model_dump(by_alias=True)
    settings = config.platform_settings.model_dump(by_alias=True) if config.platform_settings else {}
    given = {
        "automaticLeave.waitingRoomTimeout": (leave.pop("waitingRoomTimeout"), RULE_MS),
        "maxDurationMs": (config.max_duration_ms, STAY_MS),
        "whisperLiveMuteTimeoutMs": (config.transcriber_mute_timeout_ms, RULE_MS),
        **{f"{config.platform}.{key}": (settings[key], PLATFORM_MS) for key in settings if key.endswith("Timeout")},
    }
    if config.automatic_leave.enabled:
        given["automaticLeave.timeout"] = leave["timeout"], STAY_MS
        given |= {f"automaticLeave.{key}": (leave[key], RULE_MS) for key in leave if key.endswith("Timeout")}
    return [
        f"{name} is {value}: times are in milliseconds, and that is {value / 1000:g} s"
        for name, (value, least) in given.items()
        if value is not None and value < least
    ]


def _manager_warnings(config: BotConfig) -> list[str]:
    """What a manager will not understand."""
    target = callback_target(config.bot_manager_callback_url, config.meeting_api_callback_url)
    if target is None:
        return []
    if target.generation is not Generation.V6:
        ignored = config.bot_manager_callback_url is not None
        return ["botManagerCallbackUrl is ignored: meetingApiCallbackUrl is given"] if ignored else []
    lacking = [
        name
        for name, value in (("nativeMeetingId", config.native_meeting_id), ("token", config.token))
        if value is None
    ]
    warnings = []
    if lacking and config.publish == "bot":
        warnings.append(
            f"{' and '.join(lacking)} missing beside botManagerCallbackUrl: the collector of that generation finds "
            "no meeting without, and drops every segment"
        )
    if config.container_name is None:
        warnings.append(
            "container_name is missing beside botManagerCallbackUrl: that manager then forgets our container once we "
            "are in the meeting, and stops us without telling us to leave"
        )
    return warnings


def unmet(raw: Mapping[str, Any]) -> list[str]:
    """What a manager asks for and this bot does not do, in one warning."""
    asked = [key for key in ("recordingEnabled", "voiceAgentEnabled", "authenticated") if raw.get(key) is True]
    if raw.get("transcriptionTier") == "deferred":
        asked.append("transcriptionTier")
    return [f"the bot does not do yet what is asked for by {', '.join(asked)}"] if asked else []


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
