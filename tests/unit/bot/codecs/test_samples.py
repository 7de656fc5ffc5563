"""The receiver of G.711 and plain samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.codecs.formats import STATIC, Format
from bot.codecs.receiver import Pcm
from bot.codecs.rtp import Kind
from bot.codecs.samples import SampleReceiver, continued, decoded
from tests.support.servers.rtp_sender import payloads, sample_rate

PCMU, PCMA, WIDE = STATIC[0], STATIC[8], Format("l16", 16_000)
FORMS = [PCMU, PCMA, WIDE, STATIC[10], Format("l16", 48_000)]


def tone(form: Format, hertz: float = 200, seconds: float = 1.0) -> list[bytes]:
    """Packets of 20 ms."""
    rate = sample_rate(form)
    pcm = 10_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return list(payloads(form, np.round(pcm).astype(np.int16)))


def heard(
    form: Format, packets: dict[int, bytes], kinds: dict[int, Kind] | None = None
) -> tuple[list[Pcm], SampleReceiver]:
    """What comes of packets of 20 ms by their numbers, half a second after the last."""
    receiver, pieces = SampleReceiver(form), []
    ticks = form.clock_rate // 50
    now = 0.0
    for index, payload in packets.items():
        now = index * 0.02
        kind = (kinds or {}).get(index, Kind.SOUND)
        pieces += receiver.push(index, index * ticks, 1, payload, now, kind)
    return pieces + receiver.tick(now + 0.5), receiver


def together(pieces: list[Pcm]) -> NDArray[np.int16]:
    """One after the other, at their places."""
    line = np.zeros(pieces[-1].position + len(pieces[-1].pcm), np.int16)
    for piece in pieces:
        line[piece.position : piece.position + len(piece.pcm)] = piece.pcm
    return line


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.codec}-{form.clock_rate}-{form.channels}")
def test_a_tone_comes_out_as_it_went_in(form: Format) -> None:
    """At 16 kHz, contiguous, with the noise of its codec: G.711 leaves 37 dB."""
    pieces, receiver = heard(form, dict(enumerate(tone(form))))
    pcm = together(pieces)
    assert abs(len(pcm) - 16_000) <= 1
    steady = pcm[1_000:].astype(float)
    at = 2 * np.pi * 200 * np.arange(len(steady)) / 16_000
    basis = np.stack([np.sin(at), np.cos(at)], 1)
    fitted, *_ = np.linalg.lstsq(basis, steady, rcond=None)
    assert 10 * np.log10((basis @ fitted).var() / (steady - basis @ fitted).var()) >= (
        70 if form.codec == "l16" else 35
    )
    assert receiver.statistics.silence == receiver.statistics.concealed == 0


def test_g711_is_what_the_standard_says() -> None:
    """The ends of both laws, zero, and signs."""
    assert decoded(PCMU, bytes((0x00, 0x80, 0x7F, 0xFF))).tolist() == [-32_124, 32_124, 0, 0]
    assert decoded(PCMA, bytes((0x2A, 0xAA, 0x55, 0xD5))).tolist() == [-32_256, 32_256, -8, 8]


def test_two_channels_are_mixed() -> None:
    """Halves of both."""
    assert decoded(Format("l16", 16_000, 2), np.array([100, 300, -7, -8], ">i2").tobytes()).tolist() == [200, -8]


def test_lost_packets_are_made_up() -> None:
    """The tone goes on for 40 ms; a hole of 200 ms is none of the receiver's affair."""
    packets = dict(enumerate(tone(PCMU)))
    del packets[20], packets[21]
    pieces, receiver = heard(PCMU, packets)
    pcm = together(pieces)
    assert receiver.statistics.concealed == 640
    assert np.abs(pcm[20 * 320 : 21 * 320]).max() > 5_000
    assert np.abs(np.diff(pcm[18 * 320 : 22 * 320].astype(int))).max() < 2_500  # no click where it begins
    for index in range(30, 41):
        del packets[index]
    assert heard(PCMU, packets)[1].statistics.skipped == 11 * 320


def test_too_little_is_known_to_make_anything_up() -> None:
    """Then it is silence."""
    packets = dict(enumerate(tone(WIDE, seconds=0.1)))
    del packets[1]
    pieces, _ = heard(WIDE, packets)
    assert not together(pieces)[320:640].any()


def test_a_voice_fades() -> None:
    """Within 60 ms, in its own period."""
    wave = np.round(8_000 * np.sin(2 * np.pi * np.arange(1_600) / 100)).astype(np.int16)
    on = continued(wave, 1_280)
    assert np.argmax(np.abs(np.fft.rfft(on[:800].astype(float)))) == 8
    assert np.abs(on[:100]).max() > 7_000
    assert not on[960:].any()


def test_comfort_noise_and_keys_are_silence() -> None:
    """Packets of other payload types have numbers among ours: nothing is lost, and nothing heard."""
    packets = dict(enumerate(tone(PCMU, seconds=0.2)))
    packets[4] = packets[5] = b"\x28"
    pieces, receiver = heard(PCMU, packets, {4: Kind.OTHER, 5: Kind.OTHER})
    assert receiver.statistics.silence == 640
    assert not together(pieces)[4 * 320 : 6 * 320].any()


def test_what_is_said_to_be_silent_is_not_read() -> None:
    """The sender's own level says so (RFC 6464)."""
    packets = dict(enumerate(tone(PCMU, seconds=0.2)))
    pieces, _ = heard(PCMU, packets, dict.fromkeys((3, 4), Kind.SILENCE))
    assert not together(pieces)[3 * 320 : 5 * 320].any()
    assert together(pieces).any()


@pytest.mark.parametrize("payload", [b"", bytes(9_001), bytes(8_001)], ids=["empty", "huge", "long"])
def test_what_is_no_payload(payload: bytes) -> None:
    """Refused and counted; the next packet fills its place."""
    packets = dict(enumerate(tone(PCMU, seconds=0.2))) | {5: payload}
    assert heard(PCMU, packets)[1].statistics.refused == 1


def test_a_long_packet_comes_in_pieces() -> None:
    """GStreamer fills packets to the MTU."""
    pieces = SampleReceiver(PCMU).push(0, 0, 1, bytes(1_388), 0.0)
    assert [(piece.position, len(piece.pcm)) for piece in pieces] == [(0, 1_920), (1_920, 856)]


def test_half_a_sample_is_no_payload() -> None:
    """Of L16."""
    assert heard(WIDE, {0: b"abc"})[1].statistics.refused == 1
    assert heard(Format("l16", 16_000, 2), {0: b"ab"})[1].statistics.refused == 1
