"""The registry of meeting platforms: name in the configuration → "module:Class", imported only when used.

The class says everything about its platform (`bot.platforms.base.Platform`); nothing else in the bot names one. A name
is also the key of the platform's own settings.
"""

from __future__ import annotations

import asyncio
import importlib

from bot.platforms.base import Platform
from common.installed import needed

PLATFORMS: dict[str, str] = {
    "google_meet": "bot.platforms.google_meet:GoogleMeet",
    "janus": "bot.platforms.janus:Janus",
    "jitsi": "bot.platforms.jitsi:Jitsi",
    "livekit": "bot.platforms.livekit:LiveKit",
    "livekit_web": "bot.platforms.livekit_web:LiveKitWeb",
    "mediasoup": "bot.platforms.mediasoup:Mediasoup",
    "rehearsal": "bot.platforms.rehearsal:Rehearsal",
    "rtmp": "bot.platforms.rtmp:Rtmp",
    "rtp": "bot.platforms.rtp:Rtp",
    "teams": "bot.platforms.teams:Teams",
    "whep": "bot.platforms.whep:Whep",
    "zoom": "bot.platforms.zoom:Zoom",
}


def load(name: str) -> Platform:
    """The platform registered under `name`. Raises KeyError for an unknown one (the configuration has checked it)."""
    module, _, attribute = PLATFORMS[name].partition(":")
    platform: Platform = getattr(importlib.import_module(module), attribute)()
    return platform


async def prepare(name: str, platform: Platform) -> None:
    """Imports what joining needs, in a thread: it may take 0.3 s, in which the loop would stand still.

    Raises:
        EarshotError: NOT_INSTALLED.
    """
    with needed(f"platform {name}", "browser" if platform.opens_page else "webrtc"):
        await asyncio.to_thread(platform.prepare)
