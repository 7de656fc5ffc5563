"""Settings under the key `livekit`: how to mint a room token."""

from __future__ import annotations

from pydantic import Field, SecretStr

from bot.settings import Id, Settings, Text


class LiveKitSettings(Settings):
    """How to mint a room token (subscribe-only, hidden, this one room) when no `token` is given."""

    room: Text = Field(description="Name of the LiveKit room.")
    identity: Id | None = Field(default=None, description="Our identity in the room; default: `connectionId`.")
    name: Text | None = Field(default=None, description="Our display name; default: `botName`.")
    api_key: Text = Field(description="Key of the LiveKit server.")
    api_secret: SecretStr = Field(description="Secret that belongs to `apiKey`.", min_length=1)
