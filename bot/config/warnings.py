"""Warnings: settings that are valid and probably not what their author wants."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from bot.config.model import BotConfig


def config_warnings(config: BotConfig, in_container: bool) -> list[str]:
    """Settings that are valid and probably not what their author wants."""
    warnings = []
    if in_container:
        urls = [("whisperLiveUrl", url) for url in config.transcriber_urls]
        for name, url in [*urls, ("redisUrl", config.redis_url.get_secret_value())]:
            if _is_local(url):
                warnings.append(
                    f"{name} points to {urlsplit(url).hostname}: inside a container that is the bot itself, "
                    "not the host or another container; use the service's name on the container network, "
                    "such as vexa-redis-1"
                )
    if config.text_to_speech.enabled:
        warnings.append("textToSpeech.enabled is true, but the bot has no voice yet: it stays silent")
    if config.audio.mode != "perParticipant" and config.audio.model_fields_set:
        warnings.append(
            "audio: speakers do not share lanes yet and nothing is mixed: each one who speaks has a lane of their own"
        )
    for name, callback in (
        ("botManagerCallbackUrl", config.bot_manager_callback_url),
        ("meetingApiCallbackUrl", config.meeting_api_callback_url),
    ):
        if callback is not None:
            warnings.append(
                f"{name} is accepted, but status callbacks are not sent yet; read the status stream in Redis"
            )
    return warnings


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
