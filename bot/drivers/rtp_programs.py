"""Programs of the engines beside our own decoder: which are there, and the command lines by which they decode RTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from typing import Literal

import structlog

from bot.codecs.formats import Codec, Format
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError

Engine = Literal["native", "gst", "ffmpeg"]
ORDER: tuple[Engine, ...] = ("gst", "ffmpeg", "native")
"""Who follows whom."""
PROGRAMS: dict[Engine, str] = {"gst": "gst-launch-1.0", "ffmpeg": "ffmpeg"}
JITTER_MS = 60
"""What engines wait for a packet that is missing: as long as we do."""
log = structlog.get_logger(__name__)


def find_engines(wanted: Engine, fallback: bool) -> dict[Engine, str]:
    """The engines to try, in their order, each with the path of its program (none for ours). Looks into files.

    Raises:
        EarshotError: ENGINE_UNAVAILABLE: the program is missing, and no other is to take its place.
    """
    found: dict[Engine, str] = {}
    guard()
    for engine in ORDER[ORDER.index(wanted) :] if fallback else (wanted,):
        program = PROGRAMS.get(engine)
        path = shutil.which(program) if program else ""
        if path is not None:
            found[engine] = path
        elif fallback:
            log.warning("rtp.engine_missing", engine=engine, program=program)
    if not found:
        words = (
            f"`rtp.engine` is {wanted}, and there is no {PROGRAMS[wanted]} here: install it, or allow `engineFallback`"
        )
        raise EarshotError(SubCode.ENGINE_UNAVAILABLE, words)
    return found


@cache
def guard() -> tuple[str, ...]:
    """What a child is started by, so that the kernel ends it should we be killed; empty where there is none."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()


def description(port: int, payload_type: int, form: Format) -> str:
    """The SDP that FFmpeg is given."""
    name = {"opus": "opus/48000/2"}.get(form.codec, f"{form.codec.upper()}/{form.clock_rate}/{form.channels}")
    lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
             f"m=audio {port} RTP/AVP {payload_type}", f"a=rtpmap:{payload_type} {name}")  # fmt: skip
    return "\n".join(lines) + "\n"


def _ffmpeg(program: str, port: int, payload_type: int, form: Format) -> list[str]:
    return [
        program, "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "pipe,udp,rtp",
        "-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0",
        "-reorder_queue_size", "50", "-max_delay", str(JITTER_MS * 1000), "-f", "sdp", "-i", "pipe:0",
        "-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-flush_packets", "1", "pipe:1",
    ]  # fmt: skip


def _gst_decoder(codec: Codec) -> tuple[str, str]:
    """The encoding's name, and the elements that decode it."""
    match codec:
        case "opus":
            return "OPUS", "rtpopusdepay ! opusdec plc=true use-inband-fec=true"
        case "pcmu":
            return "PCMU", "rtppcmudepay ! mulawdec"
        case "pcma":
            return "PCMA", "rtppcmadepay ! alawdec"
        case "l16":
            return "L16", "rtpL16depay"


def _gst(program: str, port: int, payload_type: int, form: Format) -> list[str]:
    encoding, decoder = _gst_decoder(form.codec)
    channels = f",channels={form.channels}" if form.codec == "l16" else ""
    caps = f"application/x-rtp,media=audio,clock-rate={form.clock_rate},encoding-name={encoding},payload={payload_type}"
    line = (
        f"udpsrc address=127.0.0.1 port={port} caps={caps}{channels} ! "
        f"rtpjitterbuffer latency={JITTER_MS} do-lost=true ! {decoder} ! audioconvert ! audioresample ! "
        f"audio/x-raw,format=S16LE,rate={SAMPLE_RATE},channels=1 ! fdsink fd=1 sync=false"
    )
    return [program, "-q", *line.split()]


COMMANDS: dict[Engine, Callable[[str, int, int, Format], list[str]]] = {"gst": _gst, "ffmpeg": _ffmpeg}
