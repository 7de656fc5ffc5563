"""The registry of meeting platforms: name in the configuration → class, imported only when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from bot.platforms.base import Platform

PLATFORMS: dict[str, str] = {
    "livekit": "bot.platforms.livekit:LiveKit",
    "rehearsal": "bot.platforms.rehearsal:Rehearsal",
}


def load(name: str) -> Platform:
    """The platform registered under `name`. Raises KeyError for an unknown one (the configuration has checked it)."""
    module, _, attribute = PLATFORMS[name].partition(":")
    return cast("Platform", getattr(importlib.import_module(module), attribute)())
