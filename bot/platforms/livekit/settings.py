"""Settings under the key `livekit`: how to mint a room token, and what is heard in the room."""

from __future__ import annotations

from pydantic import Field, SecretStr

from bot.settings import Id, Settings, Text


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
