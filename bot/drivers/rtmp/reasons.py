"""Reasons why an RTMP stream cannot be had, or not any longer, as far as whoever plays it can know."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What became of playing a stream."""

    UNREACHABLE = "unreachable"
    """Nobody answers at the address, or not in time."""
    NOT_RTMP = "not_rtmp"
    """Somebody answers, and does not speak RTMP."""
    REFUSED = "refused"
    """The server hung up on us when we asked for the stream: it checks keys, and ours is wrong or too old."""
    NOT_PUBLISHED = "not_published"
    """The server knows of no such stream, or sends nothing of it: nobody publishes it now."""
    NO_SOUND = "no_sound"
    """There is a stream, and no sound in it that can be decoded."""
    ENDED = "ended"
    """It was heard, and is not any longer. Publishers that end, that crash and that lose their network look alike: for
    all of them the server closes the connection (nginx-rtmp, whose `on_publish_done` tells no difference either)."""
    STALLED = "stalled"
    """It was heard, and nothing has come for a while, although the connection is there."""


class StreamError(Exception):
    """A stream cannot be had, or not any longer.

    Args:
        reason: What is known of why.
        detail: What happened, for people; without the URL.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
