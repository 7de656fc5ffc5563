"""Settings under the key `mediasoup`: which room."""

from __future__ import annotations

from pydantic import Field, SecretStr

from bot.settings import Id, Settings, Text


class MediasoupSettings(Settings):
    """A room of a mediasoup application that speaks the protocol of docs/mediasoup.md."""

    room: Text = Field(description="Name of the room.")
    identity: Id | None = Field(default=None, description="Our peer id in the room; default: `connectionId`.")
    access_token: SecretStr | None = Field(
        default=None, description="What the application asks of whoever joins.", min_length=1
    )
