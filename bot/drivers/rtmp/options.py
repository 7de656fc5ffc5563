"""Options of FFmpeg's RTMP client, as they were measured (bench/roads.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a stream is opened and read."""

    no_buffer: bool = True
    """Packets that were read to find out what is in the stream are passed on at once."""
    no_delay: bool = True
    """FFmpeg's small messages go out at once, where each would wait for the last one's acknowledgement. It says five
    before a stream plays."""
    quick_ack: bool = True
    """The server's are acknowledged at once, for the same reason (`relay`)."""
    low_delay: bool = True
    """Asks decoders for no delay; AAC and Opus have none."""
    probe_bytes: int | None = 32
    """Bytes read to find out what is in the stream; None: FFmpeg's 5 MB."""
    analyze_us: int | None = 0
    """Microseconds of stream read for the same; None: FFmpeg's 5 s. They are heard late, in one burst."""

    def ffmpeg(self) -> dict[str, str]:
        """As PyAV takes them."""
        options = {"rtmp_live": "live"} | ({"tcp_nodelay": "1"} if self.no_delay else {})
        options |= {"fflags": "nobuffer"} if self.no_buffer else {}
        options |= {"flags": "low_delay"} if self.low_delay else {}
        options |= {} if self.probe_bytes is None else {"probesize": str(self.probe_bytes)}
        return options | ({} if self.analyze_us is None else {"analyzeduration": str(self.analyze_us)})


LOW_LATENCY = PullOptions()
CAREFUL = PullOptions(probe_bytes=1_000_000, analyze_us=1_500_000)
"""For a stream whose sound was not among its first packets: a picture that began before it."""
