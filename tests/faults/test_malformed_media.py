"""10,000 malformed packets: nothing crashes, memory stays flat, and the stream beside them is unharmed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bot.codecs.receiver import OpusReceiver, Pcm
from bot.codecs.rtp import RtpError, RtpPacket, parse_rtp
from common.audio.opus import OpusDecoder, OpusEncoder, OpusError
from tests.support.audio.sounds import voice
from tests.support.measures import note
from tests.support.tools import require

pytestmark = pytest.mark.timeout(120)
COUNT = 10_000
STATUS = Path("/proc/self/status")


def resident() -> int:
    """Resident memory of this process, bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def good() -> list[bytes]:
    """Opus packets of two seconds of voice."""
    encoder = OpusEncoder(fec=True, loss_percent=10)
    return [encoder.encode(frame) for frame in voice(2.0).reshape(-1, 320)]


def random(rng: np.random.Generator, packet: bytes) -> bytes:
    """Bytes that mean nothing."""
    return rng.bytes(int(rng.integers(0, 1600)))


def truncated(rng: np.random.Generator, packet: bytes) -> bytes:
    """The front of a good packet."""
    return packet[: int(rng.integers(0, len(packet)))]


def flipped(rng: np.random.Generator, packet: bytes) -> bytes:
    """A good packet with up to eight bits wrong."""
    data = bytearray(packet)
    for bit in rng.integers(0, 8 * len(data), int(rng.integers(1, 9))):
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def empty(rng: np.random.Generator, packet: bytes) -> bytes:
    """Nothing."""
    return b""


Mutation = Callable[[np.random.Generator, bytes], bytes]
MUTATIONS: list[Mutation] = [random, truncated, flipped, empty]


def packet_bytes(index: int, payload: bytes) -> bytes:
    """An RTP packet of 20 ms, number `index`."""
    header = bytes([0x80, 111]) + (index % 2**16).to_bytes(2) + (960 * index % 2**32).to_bytes(4) + bytes([0, 0, 0, 9])
    return header + payload


def malformed(mutation: Mutation, seed: int) -> Iterator[bytes]:
    """Whole RTP packets gone wrong, in header or payload."""
    rng, payloads = np.random.default_rng(seed), good()
    for index in range(COUNT):
        payload = payloads[index % len(payloads)]
        if index % 2:
            yield mutation(rng, packet_bytes(index, payload))
        else:
            yield packet_bytes(index, mutation(rng, payload))


def feed(receiver: OpusReceiver, packet: RtpPacket, now: float) -> list[Pcm]:
    """One packet, and the timers that are due."""
    pieces = receiver.tick(now)
    return pieces + receiver.push(packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload, now)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_malformed_packets_beside_a_good_stream(mutation: Mutation, seed: int) -> None:
    """Their receiver survives and works afterwards; the neighbour's audio is what it would be alone."""
    require(STATUS.exists(), "memory is measured through /proc")
    payloads = good()
    packets = list(malformed(mutation, seed))
    alone, beside, victim = OpusReceiver(), OpusReceiver(), OpusReceiver()
    errors = longest = 0
    before = 0
    for index, data in enumerate(packets):
        if index == COUNT // 10:  # after everything is warm
            before = resident()
        now = 0.02 * index
        try:
            pieces = feed(victim, parse_rtp(data), now)
            longest = max(longest, sum(len(piece.pcm) for piece in pieces))
        except RtpError:
            errors += 1
        healthy = parse_rtp(packet_bytes(index, payloads[index % len(payloads)]))
        ours, theirs = feed(beside, healthy, now), feed(alone, healthy, now)
        assert len(ours) == len(theirs) == 1
        assert np.array_equal(ours[0].pcm, theirs[0].pcm)
    grown = resident() - before
    assert grown < 5_000_000
    note("test_malformed_packets_beside_a_good_stream", seed, grown_mb=grown / 1e6, longest_ms=longest / 16)
    assert longest <= 16_000  # nothing amplifies: at most what 200 ms of waiting packets and their holes can hold
    assert errors or victim.statistics.refused
    heard = [p for i in range(20_000, 20_100) for p in feed(victim, parse_rtp(packet_bytes(i, payloads[i % 100])), 1e4)]
    assert sum(len(piece.pcm) for piece in heard) >= 99 * 320


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_malformed_payloads_leave_the_decoder_usable(mutation: Mutation, seed: int) -> None:
    """Straight into one decoder: at most 120 ms per payload, and afterwards good packets decode."""
    rng, payloads, decoder = np.random.default_rng(seed), good(), OpusDecoder()
    before = 0
    for index in range(COUNT):
        if index == COUNT // 10:
            before = resident()
        payload = mutation(rng, payloads[index % len(payloads)])
        with contextlib.suppress(OpusError):
            assert 0 < len(decoder.decode(payload)) <= 1920
        restored = decoder.decode_fec(payload, 320)
        assert restored is None or len(restored) == 320
    assert resident() - before < 5_000_000
    reference = OpusDecoder()
    for payload in payloads:
        recovered, truth = decoder.decode(payload), reference.decode(payload)
    assert np.corrcoef(recovered, truth)[0, 1] > 0.9
