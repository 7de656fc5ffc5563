"""Reasons: what a pull can know."""

from __future__ import annotations

from bot.drivers.rtmp.reasons import Reason, StreamError


def test_an_error_says_why_and_what_happened() -> None:
    """For the program, and for people."""
    error = StreamError(Reason.ENDED, "the stream has ended")
    assert (error.reason, str(error)) == (Reason.ENDED, "the stream has ended")
