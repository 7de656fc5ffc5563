"""The registry of meeting platforms: name in the configuration → class, imported only when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from bot.platforms.base import Invitation

if TYPE_CHECKING:
    from bot.config import BotConfig
    from bot.platforms.base import Platform

PLATFORMS: dict[str, str] = {
    "livekit": "bot.platforms.livekit.platform:LiveKit",
    "rehearsal": "bot.platforms.rehearsal.platform:Rehearsal",
}


def load(name: str) -> Platform:
    """The platform registered under `name`. Raises KeyError for an unknown one (the configuration has checked it)."""
    module, _, attribute = PLATFORMS[name].partition(":")
    return cast("Platform", getattr(importlib.import_module(module), attribute)())


def invitation(config: BotConfig) -> Invitation:
    """What the configuration's platform gets to know of it."""
    return Invitation(
        meeting_url=config.meeting_url,
        native_meeting_id=config.native_meeting_id,
        connection_id=config.connection_id,
        bot_name=config.bot_name,
        settings=getattr(config, config.platform, None),
        token=config.token.get_secret_value() if config.token else None,
        passcode=config.passcode.get_secret_value() if config.passcode else None,
    )
