"""Decoders of a track of plain RTP: what each owes, and our own, which follows a codec that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from bot.audio.frame import AudioFrame
from bot.codecs.formats import Format
from bot.codecs.receiver import OpusReceiver, Receiver
from bot.codecs.rtp import SILENT_DBOV, Kind, RtpPacket
from bot.codecs.samples import SampleReceiver
from bot.drivers.opus_track import PacketTrack


class Decoder(Protocol):
    """What makes frames of one track's packets."""

    def packet(self, packet: RtpPacket, now: float) -> None:
        """Takes a packet as it came."""

    def finish(self) -> None:
        """Its sender has gone: what still waits comes now, where that can be had. No frame comes afterwards."""

    def close(self) -> None:
        """No frame comes afterwards. May be called again."""


class NativeDecoder:
    """A track decoded here: jitter buffer, concealment, silence, each codec by the receiver for it.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        formats: By payload type; packets of other types keep their place and are not heard.
        level_id: Id of the header extension with the audio level; None: it is not sent.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        formats: Mapping[int, Format],
        level_id: int | None = None,
    ) -> None:
        self._track_id, self._audio, self._formats, self._level_id = track_id, audio, formats, level_id
        self._form: Format | None = None
        self._track: PacketTrack | None = None
        self._is_closed = False

    def packet(self, packet: RtpPacket, now: float) -> None:
        """See `Decoder`."""
        if self._is_closed:
            return
        form = self._formats.get(packet.payload_type)
        if form is not None and form != self._form:  # the codec has changed: its clock, too
            if self._track is not None:
                self._track.finish()
            self._form = form
            self._track = PacketTrack(self._track_id, self._audio, receiver_of(form))
        if self._track is not None:
            kind = Kind.OTHER if form is None else self._kind(packet)
            self._track.packet(
                packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload_type, packet.payload, now, kind
            )

    def _kind(self, packet: RtpPacket) -> Kind:
        is_silent = self._level_id is not None and packet.level(self._level_id) == SILENT_DBOV
        return Kind.SILENCE if is_silent else Kind.SOUND

    def finish(self) -> None:
        """See `Decoder`."""
        if self._track is not None:
            self._track.finish()
        self.close()

    def close(self) -> None:
        """See `Decoder`."""
        self._is_closed = True
        if self._track is not None:
            self._track.close()


def receiver_of(form: Format) -> Receiver:
    """What reads payloads of a format."""
    match form.codec:
        case "opus":
            return OpusReceiver()
        case "pcmu" | "pcma" | "l16":
            return SampleReceiver(form)
