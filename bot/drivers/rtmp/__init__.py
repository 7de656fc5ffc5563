"""RTMP: the sound of a published stream, played from its server.

`pull` plays a stream once, until it ends. A `Stream` is stayed with: waited for until somebody publishes it, and played
again after every break. What a pull can know of an end is little (see `Reason`): whether a publisher that is gone comes
back is known by waiting, or by whoever told it to publish.
"""

from __future__ import annotations

from bot.drivers.rtmp.options import LOW_LATENCY, PullOptions
from bot.drivers.rtmp.pulling import pull
from bot.drivers.rtmp.reasons import Reason, StreamError
from bot.drivers.rtmp.stream import Stream, StreamListener

__all__ = ["LOW_LATENCY", "PullOptions", "Reason", "Stream", "StreamError", "StreamListener", "pull"]
