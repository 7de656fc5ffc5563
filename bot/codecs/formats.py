"""Formats of RTP payloads that can be heard, and the payload types that have had one for ever (RFC 3551, table 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Codec = Literal["opus", "pcmu", "pcma", "l16"]
"""Opus (RFC 7587); G.711 µ-law and A-law; L16, big-endian samples (RFC 3551)."""
CODECS: tuple[Codec, ...] = get_args(Codec)
CLOCK_RATES = range(8_000, 48_001)
"""Hz, of L16; the others have one each."""
_FIXED_RATES: dict[str, int] = {"opus": 48_000, "pcmu": 8_000, "pcma": 8_000}


@dataclass(frozen=True, slots=True)
class Format:
    """How a payload is to be read.

    Args:
        codec: Which one.
        clock_rate: Of the RTP timestamps, Hz; but for Opus also of the samples.
        channels: Of L16, interleaved; they are mixed to one. Opus says it in each packet.
    """

    codec: Codec
    clock_rate: int = 48_000
    channels: int = 1


STATIC = {
    0: Format("pcmu", 8_000),
    8: Format("pcma", 8_000),
    10: Format("l16", 44_100, 2),
    11: Format("l16", 44_100),
}
"""Payload types whose format needs no words."""
FIRST_DYNAMIC = 96
"""From here on payload types mean what the two sides have agreed on."""


def format_of(codec: str, clock_rate: int | None, channels: int | None) -> Format:
    """A format by its parts.

    Args:
        codec: Whatever its case.
        clock_rate: Hz; None: the codec's.
        channels: 1 or 2; None: 1.

    Raises:
        ValueError: Nothing that can be heard; the words say what is allowed.
    """
    known = next((name for name in CODECS if name == codec.lower()), None)
    if known is None:
        raise ValueError(f"no codec {codec[:32]!a} (known: {', '.join(CODECS)})")
    fixed = _FIXED_RATES.get(known)
    if fixed is not None and clock_rate not in (None, fixed):
        raise ValueError(f"the clock of {known} has {fixed} Hz")
    rate = fixed or clock_rate
    if rate is None or rate not in CLOCK_RATES:
        raise ValueError(f"{known} needs a clock of {CLOCK_RATES.start} to {CLOCK_RATES.stop - 1} Hz")
    if channels not in (None, 1, 2):
        raise ValueError(f"{known} of one or two channels can be heard")
    return Format(known, rate, 1 if known != "l16" or channels is None else channels)
