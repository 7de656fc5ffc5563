"""Settings under the key `livekit`: how to mint a room token, what is heard in the room, and on which road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints

from bot.settings import Id, Settings, Text, is_url
from common.problems import Problem, shown

ListenAddress = Annotated[str, StringConstraints(pattern=r"^[^\s:]*:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$")]


class EgressSettings(Settings):
    """Where LiveKit pushes the sound of a whole room, and how many rooms of all bots at once."""

    ingest_url: Text = Field(
        description="rtmp(s)://host[:port]/app where LiveKit's egress pushes to, as it reaches it; the stream is named "
        "after `connectionId`."
    )
    pull_url: Text | None = Field(
        default=None, description="The same server and app, as the bot reaches it; default: `ingestUrl`."
    )
    secret: SecretStr | None = Field(
        default=None, description="Of the RTMP server in docker/rtmp: stream keys are made of it.", min_length=1
    )
    limit: int = Field(
        default=20, ge=0, le=10_000, description="Rooms that all bots together hear as an egress at once."
    )
    webhook_url: Text | None = Field(
        default=None, description="http(s)://… where LiveKit tells what becomes of the egress, as it reaches the bot."
    )
    webhook_listen: ListenAddress | None = Field(
        default=None, description="host:port where the bot takes that; needed with `webhookUrl`."
    )


class LiveKitSettings(Settings):
    """What a LiveKit room needs; without a `token`, `room`, `apiKey` and `apiSecret` mint one (to listen there)."""

    room: Text | None = Field(default=None, description="Name of the LiveKit room.")
    identity: Id | None = Field(default=None, description="Our identity in the room; default: `connectionId`.")
    name: Text | None = Field(default=None, description="Our display name; default: `botName`.")
    api_key: Text | None = Field(default=None, description="Key of the LiveKit server.")
    api_secret: SecretStr | None = Field(default=None, description="Secret that belongs to `apiKey`.", min_length=1)
    screen_share_audio: bool = Field(default=False, description="Whether the sound of shared screens is transcribed.")
    encryption_key: SecretStr | None = Field(
        default=None, description="The room's shared key, where it is end-to-end encrypted.", min_length=1
    )
    mode: Literal["auto", "participant", "composite"] = Field(
        default="auto",
        description="auto: heard as an egress where `egress` is given, several people are there and one is free, else "
        "on the participants' tracks; composite: as an egress, or not at all.",
    )
    egress: EgressSettings | None = Field(default=None, description="How a room is heard as an egress; null: never.")


def egress_problems(own: Mapping[str, Any], has_token: bool) -> list[Problem]:
    """What is missing or wrong where a room is to be heard as an egress.

    Args:
        own: What stands under `livekit`, wrong values too.
        has_token: A `token` opens the room: then a missing key pair is nobody else's to report.
    """
    egress = own.get("egress")
    if egress is None:
        allowed = (
            "for livekit: with `mode: composite`, livekit.egress {ingestUrl} says where LiveKit pushes the room's sound"
        )
        return [Problem("livekit.egress", "(missing)", allowed)] if own.get("mode") == "composite" else []
    if not isinstance(egress, Mapping):
        return []
    found = []
    if has_token:
        allowed = "for livekit: with `egress`, key and secret of the server, which start one; a room token cannot"
        missing = [key for key in ("apiKey", "apiSecret") if key not in own]
        found += [Problem(f"livekit.{key}", "(missing)", allowed) for key in missing]
    for key, schemes in _URLS.items():
        url = egress.get(key)
        if isinstance(url, str) and not is_url(url, *schemes):
            allowed = f"for livekit: {'rtmp(s)://host[:port]/app' if 'rtmp' in schemes else 'http(s)://host[:port]/…'}"
            found.append(Problem(f"livekit.egress.{key}", shown(url), allowed))
    if "webhookUrl" in egress and "webhookListen" not in egress:
        allowed = "for livekit: with `webhookUrl`, host:port at which the bot takes what comes there"
        found.append(Problem("livekit.egress.webhookListen", "(missing)", allowed))
    return found


_URLS = {"ingestUrl": ("rtmp", "rtmps"), "pullUrl": ("rtmp", "rtmps"), "webhookUrl": ("http", "https")}
