"""Settings that every platform which is a web page has under its own name."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bot.settings import Milliseconds, Settings, Text, is_url


def _check_origin(url: str) -> str:
    if not is_url(url, "http", "https") or url.count("/") > 2 + url.endswith("/"):
        raise PydanticCustomError("origin", "http(s)://host[:port], without a path")
    return url.rstrip("/")


Origin = Annotated[Text, AfterValidator(_check_origin)]


class PageSettings(Settings):
    """How a meeting in a web page is attended."""

    origin: Origin | None = Field(
        default=None,
        description="http(s)://host[:port] that serves the meeting's page in the platform's place: a gateway, a test.",
    )
    announcement: Text | None = Field(
        default=None, max_length=500, description="Written into the chat when we are let in; null: nothing."
    )
    chat: bool = Field(default=True, description="Whether the chat is opened, and published as segments.")
    captions: bool = Field(
        default=False,
        description="Whether the platform's own captions are switched on, and published while no sound comes.",
    )
    not_started_timeout: Milliseconds = Field(
        default=240_000, description="Longest wait for a meeting that has not begun, ms."
    )
