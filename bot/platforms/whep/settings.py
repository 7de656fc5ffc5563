"""Settings under the key `whep`: who is heard there, and what opens it."""

from __future__ import annotations

from pydantic import Field, SecretStr

from bot.settings import Milliseconds, Settings, Text


class WhepSettings(Settings):
    """A WHEP endpoint: one stream, which is one person's or a mix of several."""

    participant: Text | None = Field(
        default=None, description="Name of the person whose stream it is; null: a mix of several, and nobody is named."
    )
    bearer_token: SecretStr | None = Field(
        default=None, description="Sent as `Authorization: Bearer …`.", min_length=1, max_length=8192
    )
    ice_servers: bool = Field(
        default=False, description="Whether STUN and TURN servers that the endpoint names (`Link`) are asked."
    )
    redirect_hosts: tuple[Text, ...] = Field(
        default=(),
        description="Other hosts to which the endpoint may redirect, and its resources be on; they get the token.",
    )
    not_started_timeout: Milliseconds = Field(
        default=60_000, description="Longest wait for a stream that nobody publishes yet, ms."
    )
    publisher_return_timeout: Milliseconds = Field(
        default=120_000, description="Longest wait for a publisher who has gone, ms; then the meeting is over."
    )
