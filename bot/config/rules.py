"""Rules that need more than one field, or the world: what each platform asks for, and settings worth a warning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from bot.platforms import PLATFORMS
from common.problems import Problem, shown

if TYPE_CHECKING:
    from bot.config import BotConfig

PLANNED = ("google_meet", "jitsi", "teams", "zoom")
"""Platforms that users' configurations name and that are not built yet."""

SHORTEST_API_SECRET = 32
"""LiveKit signs with HS256: a shorter secret can be guessed (its own `--dev` pair is `devkey` / `secret`)."""


def check_platform_name(name: str) -> str:
    """The name, if it is built. Raises PydanticCustomError naming those that are."""
    if name not in PLATFORMS:
        planned = f" ({name} is planned and not built yet)" if name in PLANNED else ""
        raise PydanticCustomError("platform", "{text}", {"text": f"one of {', '.join(sorted(PLATFORMS))}{planned}"})
    return name


def check_transcriber_url(url: str) -> str:
    """The URL, if it is one of a websocket server. Raises PydanticCustomError."""
    if not _is_url(url, ("ws", "wss")):
        raise PydanticCustomError(
            "transcriber_url", "ws://host:port or wss://host:port, for example ws://whisperlive:9090"
        )
    return url


def check_redis_url(url: SecretStr) -> SecretStr:
    """The URL, if redis-py can use it. Raises PydanticCustomError."""
    if not is_redis_url(url.get_secret_value()):
        raise PydanticCustomError("redis_url", "redis://[:password@]host:port[/db], rediss://… or unix:///path")
    return url


def check_header_value(secret: SecretStr | None) -> SecretStr | None:
    """The secret, if it fits into an HTTP header. Raises PydanticCustomError."""
    if secret is not None and not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise PydanticCustomError("header_value", "visible ASCII characters without spaces, at least one")
    return secret


def is_redis_url(url: str) -> bool:
    """Whether redis-py can use it."""
    return _is_url(url, ("redis", "rediss")) or url.startswith("unix:///")


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not any(map(str.isspace, text))
    except ValueError:  # bad port, bad IPv6 address
        return False


# --- what a platform asks for, over raw values: some may be wrong in themselves ------------------------------------


def platform_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """What the chosen platform still lacks."""
    check = _REQUIREMENTS.get(str(raw.get("platform")))
    return check(raw) if check else []


def _livekit(raw: Mapping[str, Any]) -> list[Problem]:
    problems = []
    url = raw.get("meetingUrl")
    if not (isinstance(url, str) and _is_url(url, ("ws", "wss"))):
        allowed = "for livekit: URL of the server, ws://host:port or wss://host"
        problems.append(Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed))
    if "token" not in raw and "livekit" not in raw:
        allowed = "for livekit: the room JWT; or livekit {room, apiKey, apiSecret} to mint one"
        problems.append(Problem("token", "(missing)", allowed))
    return problems


def _rehearsal(raw: Mapping[str, Any]) -> list[Problem]:
    url = raw.get("meetingUrl")
    if isinstance(url, str) and url.startswith("rehearsal+ws://"):
        usable = _is_url(url, ("rehearsal+ws",))
    else:
        usable = (
            isinstance(url, str) and url.startswith("rehearsal:") and url.removeprefix("rehearsal:").strip("/ ") != ""
        )
    if usable:
        return []
    allowed = "for rehearsal: rehearsal+ws://host:port of a running room, or rehearsal:path/to/script.json"
    return [Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed)]


_REQUIREMENTS: dict[str, Callable[[Mapping[str, Any]], list[Problem]]] = {"livekit": _livekit, "rehearsal": _rehearsal}


# --- warnings ---------------------------------------------------------------------------------------------------------


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
    if config.platform == "livekit":
        warnings += _livekit_warnings(config)
    return warnings


def _livekit_warnings(config: BotConfig) -> list[str]:
    warnings = []
    if config.livekit is not None and config.token is not None:
        warnings.append("token and livekit are both given: token is used, livekit is ignored")
    elif config.livekit is not None and len(config.livekit.api_secret.get_secret_value()) < SHORTEST_API_SECRET:
        warnings.append(
            f"livekit.apiSecret has fewer than {SHORTEST_API_SECRET} characters: "
            "whoever guesses it can enter every room of the server"
        )
    return warnings


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
