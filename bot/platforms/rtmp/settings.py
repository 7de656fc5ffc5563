"""Settings under the key `rtmp`: how a published stream is played."""

from __future__ import annotations

from pydantic import Field, SecretStr

from bot.settings import Milliseconds, Settings


class RtmpSettings(Settings):
    """How a published stream is played."""

    secret: SecretStr | None = Field(
        default=None, description="Of the server in docker/: keys to play with are made of it.", min_length=1
    )
    publisher_return_timeout: Milliseconds = Field(
        default=30_000, description="A publisher that was heard and is gone for so long has ended the meeting."
    )
    latency: int = Field(
        default=0,
        ge=0,
        le=30_000,
        description="Milliseconds from a sound in the room to its arrival at the server, where they are known.",
    )
