"""Opus packets, read in Python and by libopus."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.audio import opus
from common.audio.opus import (
    MAX_PAYLOAD_BYTES,
    OpusDecoder,
    OpusEncoder,
    OpusError,
    frame_samples,
    has_fec,
    packet_samples,
)
from tests.support.audio.sounds import voice


def packets(seconds: float = 1.0, samples: int = 320, bitrate: int = 32_000) -> list[bytes]:
    """Encoded voice."""
    encoder = OpusEncoder(bitrate=bitrate, fec=True, loss_percent=10)
    return [encoder.encode(frame) for frame in voice(seconds).reshape(-1, samples)]


class TestLength:
    @pytest.mark.parametrize("samples", [40, 80, 160, 320, 640, 960])
    def test_of_encoded_packets(self, samples: int) -> None:
        """What the first byte says is what the decoder makes of it."""
        payload = packets(0.24, samples)[0]
        assert packet_samples(payload) == frame_samples(payload) == samples == len(OpusDecoder().decode(payload))

    @given(st.binary(min_size=1, max_size=80))
    def test_agrees_with_libopus(self, payload: bytes) -> None:
        """For any bytes: what libopus decodes has the length that we say, and what we refuse, it refuses."""
        decoder = OpusDecoder()
        try:
            count = len(decoder.decode(payload))
        except OpusError:
            return
        assert packet_samples(payload) == count

    @pytest.mark.parametrize("payload", [b"", b"\x03", b"\x03\x00", b"\x1b\x03"], ids=["empty", "cut", "none", "180ms"])
    def test_impossible(self, payload: bytes) -> None:
        """Empty, no frames, or longer than 120 ms."""
        with pytest.raises(OpusError):
            packet_samples(payload)

    def test_two_frames(self) -> None:
        """Codes 1 and 2 hold two frames, code 3 says how many."""
        assert [packet_samples(p) for p in (b"\x09", b"\x0a", b"\x0b\x03")] == [640, 640, 960]


class TestFec:
    def test_flag_agrees_with_libopus(self) -> None:
        """On real packets of 20, 40 and 60 ms, and on random bytes, by a libopus new enough to know."""
        reference = next((o for o in libraries() if hasattr(o, "opus_packet_has_lbrr")), None)
        assert reference is not None, "PyAV's libopus (1.5 or newer) has opus_packet_has_lbrr"
        rng = np.random.default_rng(1)
        samples = [p for size in (320, 640, 960) for p in packets(2.4, size)]
        samples += [rng.bytes(int(n)) for n in rng.integers(1, 40, 3000)]
        answers = [(has_fec(p), reference.opus_packet_has_lbrr(p, len(p))) for p in samples]
        assert all(ours == (theirs == 1) for ours, theirs in answers if theirs >= 0)
        assert sum(theirs == 1 for _, theirs in answers) > 100

    @pytest.mark.parametrize(
        "payload",
        [b"", b"\x08", b"\xf8\xff\xff", b"\x0b", b"\x0b\x42\xff\xff", b"\x0a\xff", b"\x0a\x00\xff", bytes(1501)],
        ids=["empty", "no-data", "celt", "no-count", "padding", "cut", "no-first", "large"],
    )
    def test_packets_without_one(self, payload: bytes) -> None:
        """Empty, without data, CELT only, cut off in front of the first frame, too large."""
        assert not has_fec(payload)

    @pytest.mark.parametrize(
        ("payload", "answer"),
        [
            (b"\x0b\x02\x40\x40", True),
            (b"\x0b\x82\x01\x40\x40", True),
            (b"\x0a\x01\x40\x40", True),
            (b"\x0a\xfc\x00" + b"\x40" * 300, True),
            (b"\x0b\x41\x02\x40\x00\x00", True),
            (b"\x0b\x41\xff\x02\x40" + bytes(256), True),
            (b"\x0c\x10", True),
            (b"\x0c\x20", False),
        ],
        ids=["cbr", "vbr", "code2", "code2-long", "padded", "padded-long", "stereo-side", "stereo-vad"],
    )
    def test_framings(self, payload: bytes, answer: bool) -> None:
        """The flag is found behind every kind of header."""
        assert has_fec(payload) is answer

    def test_restores_what_was_lost(self) -> None:
        """A frame out of the next packet is closer to the original than one made up."""
        stream = packets(2.0)
        reference = OpusDecoder()
        truth = [reference.decode(p).astype(float) for p in stream]
        restored = concealed = 0.0
        usable = [i for i in range(10, len(stream)) if has_fec(stream[i])][::7]
        for lost in (i - 1 for i in usable):
            with_fec, without = OpusDecoder(), OpusDecoder()
            for p in stream[:lost]:
                with_fec.decode(p)
                without.decode(p)
            pcm = with_fec.decode_fec(stream[lost + 1], 320)
            assert pcm is not None
            assert len(pcm) == 320
            restored += float(np.square(pcm - truth[lost]).sum())
            concealed += float(np.square(without.conceal(320) - truth[lost]).sum())
        assert usable
        assert restored < 0.5 * concealed

    def test_no_copy_no_audio(self) -> None:
        """Without a copy, after CELT, or with a payload that libopus must not see, the answer is None."""
        decoder, celt = OpusDecoder(), OpusEncoder(application="lowdelay").encode(voice(0.02))
        with_copy = next(p for p in packets() if has_fec(p))
        assert decoder.decode_fec(b"", 320) is None
        assert decoder.decode_fec(with_copy + bytes(MAX_PAYLOAD_BYTES), 320) is None
        assert decoder.decode_fec(celt, 320) is None
        assert decoder.decode_fec(with_copy, 320) is not None
        decoder.decode(celt)
        assert decoder.decode_fec(with_copy, 320) is None


class TestDecoder:
    def test_round_trip(self) -> None:
        """Voice comes back as voice."""
        decoder, sound = OpusDecoder(), voice(1.0)
        pcm = np.concatenate([decoder.decode(p) for p in packets()])
        match = [np.corrcoef(pcm[delay:], sound[: len(pcm) - delay])[0, 1] for delay in range(200)]
        assert max(match) > 0.8

    @pytest.mark.parametrize("size", [0, MAX_PAYLOAD_BYTES + 1])
    def test_refused_sizes_do_not_reach_libopus(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        """Empty and oversized payloads are counted and stop here."""
        decoder = OpusDecoder()
        monkeypatch.setattr(decoder, "_opus", None)
        with pytest.raises(OpusError, match=f"{size} bytes"):
            decoder.decode(bytes(size))
        assert decoder.refused == 1
        monkeypatch.undo()

    def test_malformed_packet_leaves_the_state_alone(self) -> None:
        """The next good packet decodes as if nothing had been."""
        first, second = OpusDecoder(), OpusDecoder()
        stream = packets()
        for p in stream:
            assert np.array_equal(first.decode(p), second.decode(p))
            with pytest.raises(OpusError, match="corrupted"):
                second.decode(b"\xff\xff\xff")
        assert second.refused == len(stream)

    def test_internal_error_resets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After an error that may have left the state broken, decoding starts fresh."""
        decoder, stream = OpusDecoder(), packets()
        for p in stream[:20]:
            decoder.decode(p)
        with monkeypatch.context() as patch:
            patch.setattr(decoder._opus, "opus_decode", lambda *_: -3)
            with pytest.raises(OpusError, match="internal"):
                decoder.decode(stream[20])
        assert np.array_equal(decoder.decode(stream[30]), OpusDecoder().decode(stream[30]))

    def test_conceal(self) -> None:
        """Made-up audio has the length asked for and fades out."""
        decoder = OpusDecoder()
        for p in packets():
            decoder.decode(p)
        made_up = [decoder.conceal(n) for n in (40, 320, 1920, 1920, 1920)]
        assert [len(pcm) for pcm in made_up] == [40, 320, 1920, 1920, 1920]
        assert np.abs(made_up[-1]).max() < 1000


class TestEncoder:
    def test_dtx(self) -> None:
        """In silence most packets shrink to what need not be sent."""
        encoder = OpusEncoder(dtx=True)
        sizes = [len(encoder.encode(np.zeros(320, np.int16))) for _ in range(50)]
        assert sum(size <= 2 for size in sizes) > 30

    def test_bitrate(self) -> None:
        """More bits, larger packets."""
        small, large = (sum(map(len, packets(bitrate=b))) for b in (12_000, 48_000))
        assert large > 1.5 * small

    def test_refusals(self) -> None:
        """Each says what is possible."""
        with pytest.raises(OpusError, match="44100 Hz"):
            OpusEncoder(rate=44_100)
        with pytest.raises(OpusError, match="loss_percent=200"):
            OpusEncoder(loss_percent=200)
        with pytest.raises(OpusError, match="300 samples"):
            OpusEncoder().encode(np.zeros(300, np.int16))


class TestLibrary:
    def test_version(self) -> None:
        """It is libopus."""
        assert opus.version().startswith("libopus")

    def test_falls_back_to_the_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system has none, the one inside PyAV works."""
        monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
        names = list(opus._candidates())
        assert names[1] == "libopus"
        assert "av.libs" in names[-1]
        assert opus._declare(ctypes.CDLL(names[-1])).opus_get_version_string().startswith(b"libopus")

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The error says what to install, and half-made codecs do no harm."""
        monkeypatch.setattr(opus, "_candidates", lambda: iter([str(tmp_path / "no.so")]))
        opus.library.cache_clear()
        try:
            for codec in (OpusDecoder, OpusEncoder):
                with pytest.raises(OSError, match="libopus0"):
                    codec()
        finally:
            opus.library.cache_clear()

    def test_without_av(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """PyAV is optional."""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert len(list(opus._candidates())) == 2


def libraries() -> Iterator[ctypes.CDLL]:
    """Every libopus of this machine."""
    for name in opus._candidates():
        try:
            yield ctypes.CDLL(name)
        except OSError:
            continue
