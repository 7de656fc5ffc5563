"""Settings under the key `janus`: which video room, and what opens it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StrictInt, StringConstraints

from bot.settings import Settings

RoomName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


class JanusSettings(Settings):
    """A room of the plugin `janus.plugin.videoroom`; its pin is the meeting's `passcode`."""

    room: StrictInt | RoomName = Field(
        description="The video room: a number, or a text where the server says `string_ids = true`."
    )
    room_token: SecretStr | None = Field(
        default=None, description="Token that the room's list of allowed ones has.", min_length=1
    )
    api_secret: SecretStr | None = Field(
        default=None, description="`api_secret` of the server, where it has one.", min_length=1
    )
    auth_token: SecretStr | None = Field(
        default=None, description="Token for the server, where it says `token_auth`.", min_length=1
    )
