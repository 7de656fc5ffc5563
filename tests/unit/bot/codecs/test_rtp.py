"""RTP packets and their order."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.rtp import (
    MAX_HOLE_S,
    MAX_WAITING_PACKETS,
    MAX_WAITING_S,
    REORDER_WAIT_S,
    JitterBuffer,
    Kind,
    Ordered,
    RtpError,
    RtpPacket,
    is_rtcp,
    parse_rtp,
)


def rtp(
    payload: bytes = b"opus", first: int = 0x80, second: int = 111, csrc: bytes = b"", extension: bytes = b""
) -> bytes:
    """A packet with sequence number 7, timestamp 960 and SSRC 42."""
    return struct.pack("!BBHII", first, second, 7, 960, 42) + csrc + extension + payload


class TestParse:
    def test_plain(self) -> None:
        """All fields of the fixed header."""
        assert parse_rtp(rtp(second=0x80 | 111)) == RtpPacket(111, 7, 960, 42, True, b"opus")
        assert not parse_rtp(rtp()).marker

    def test_csrc_extension_and_padding_are_taken_off(self) -> None:
        """What mixers and browsers put around the payload does not end up in it."""
        extension = struct.pack("!HHI", 0xBEDE, 1, 5)
        data = rtp(b"opus\0\0\3", first=0x80 | 32 | 16 | 2, csrc=bytes(8), extension=extension)
        assert parse_rtp(data).payload == b"opus"

    def test_an_empty_payload_is_a_packet(self) -> None:
        """Padding-only packets probe bandwidth; they count in the sequence."""
        assert parse_rtp(rtp(b"\0\0\0\4", first=0xA0)).payload == b""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes(11),
            rtp(first=0x40),
            rtp(second=200),
            rtp(second=192),
            rtp(b"", first=0x90),
            rtp(b"", first=0x90, extension=struct.pack("!HH", 0xBEDE, 1)),
            rtp(b"", first=0x81),
            rtp(b"\0\0\0\5", first=0xA0),
            rtp(b"\0\0\0\0", first=0xA0),
        ],
        ids=[
            *(
                "empty",
                "short",
                "version",
                "rtcp-sr",
                "rtcp-first",
                "cut-extension",
                "long-extension",
                "csrc",
                "padding",
            ),
            "zero-padding",
        ],
    )
    def test_malformed(self, data: bytes) -> None:
        """What is not RTP is said to be so."""
        with pytest.raises(RtpError):
            parse_rtp(data)

    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """No bytes raise anything but RtpError."""
        try:
            packet = parse_rtp(data)
        except RtpError:
            return
        assert data.find(packet.payload) >= 0


ONE_BYTE = bytes((0x10, 0x8A, 0, 0x21, 1, 2, 0xF0, 0x30))
TWO_BYTE = bytes((1, 1, 0x8A, 0, 200, 2, 7, 8, 3, 0, 9, 5))


def extended(profile: int, extension: bytes) -> RtpPacket:
    """A packet with a header extension."""
    padded = extension + bytes(-len(extension) % 4)
    return parse_rtp(rtp(first=0x90, extension=struct.pack("!HH", profile, len(padded) // 4) + padded))


class TestExtensions:
    def test_who_is_in_a_mix(self) -> None:
        """The CSRC list."""
        assert parse_rtp(rtp(first=0x82, csrc=struct.pack("!II", 7, 8))).sources == (7, 8)

    def test_headers_of_one_byte(self) -> None:
        """Padding is passed over; 15 ends it."""
        packet = extended(0xBEDE, ONE_BYTE)
        assert (packet.extended(1), packet.extended(2), packet.extended(3)) == (b"\x8a", b"\1\2", None)
        assert extended(0xBEDE, b"\0\0\0\0").extended(1) is None

    def test_headers_of_two_bytes(self) -> None:
        """Ids up to 255, empty elements; one that is cut off is none."""
        packet = extended(0x1003, TWO_BYTE)
        assert (packet.extended(1), packet.extended(200), packet.extended(3)) == (b"\x8a", b"\7\x08", b"")
        assert packet.extended(9) is None
        assert extended(0x1000, bytes((1, 1, 5, 4))).extended(4) is None

    def test_cut_off_or_of_another_kind(self) -> None:
        """An element that is longer than the extension, and a profile that nobody knows."""
        assert extended(0xBEDE, b"\x1f\1\1\1").extended(1) is None
        assert extended(0x1234, ONE_BYTE).extended(1) is None
        assert parse_rtp(rtp()).extended(1) is None

    def test_the_audio_level(self) -> None:
        """In dBov, without the voice activity bit; digital silence is -127."""
        assert extended(0xBEDE, ONE_BYTE).level(1) == -10
        assert extended(0xBEDE, b"\x10\xff\0\0").level(1) == -127
        assert extended(0xBEDE, ONE_BYTE).level(7) is None
        assert extended(0x1003, TWO_BYTE).level(3) is None

    def test_rtcp_is_told_apart(self) -> None:
        """By its second byte."""
        assert is_rtcp(rtp(second=200))
        assert not is_rtcp(rtp())
        assert not is_rtcp(b"\x80")
        assert not is_rtcp(b"\x00\xc8")

    def test_what_is_no_sound_has_its_number_and_no_time(self) -> None:
        """A key that is pressed says the time of its beginning again and again: the sender's clock was not set back."""
        buffer = JitterBuffer()
        sent = [(0, 0, Kind.SOUND), (1, 0, Kind.OTHER), (2, 960, Kind.OTHER), (3, 2880, Kind.SOUND)]
        left = [each for number, at, kind in sent for each in buffer.push(number, at, 1, b"x", 0.0, kind)]
        assert [(each.source, each.timestamp, each.kind) for each in left] == [
            (1, 0, Kind.SOUND),
            (1, 0, Kind.OTHER),
            (1, 0, Kind.OTHER),
            (1, 2880, Kind.SOUND),
        ]
        first = JitterBuffer().push(7, 5, 1, b"x", 0.0, Kind.OTHER)
        assert [(each.source, each.timestamp) for each in first] == [(1, 5)]


class Wire:
    """Packets of 20 ms, numbered from 0, sent over wrapping counters."""

    def __init__(self, buffer: JitterBuffer | None = None, first: int = 65_530, stamp: int = 2**32 - 2000) -> None:
        self.buffer = buffer or JitterBuffer()
        self.first, self.stamp = first, stamp

    def push(self, index: int, now: float, ssrc: int = 1) -> list[int]:
        """Sends packet `index`; returns the indices that leave."""
        number, stamp = (self.first + index) % 2**16, (self.stamp + 960 * index) % 2**32
        return self.indices(self.buffer.push(number, stamp, ssrc, b"%d" % index, now))

    def tick(self, now: float) -> list[int]:
        """The indices that leave by time alone."""
        return self.indices(self.buffer.tick(now))

    @staticmethod
    def indices(ordered: list[Ordered]) -> list[int]:
        """Which packets these are."""
        return [int(packet.payload) for packet in ordered]


class TestOrder:
    def test_in_order_leaves_at_once_and_numbers_do_not_wrap(self) -> None:
        """Sequence number and timestamp count on over their wrap-around."""
        wire = Wire()
        left = [
            wire.buffer.push((65_530 + i) % 2**16, (2**32 - 2000 + 960 * i) % 2**32, 1, b"x", 0.02 * i)
            for i in range(20)
        ]
        assert [[p.sequence_number for p in packets] for packets in left] == [[65_530 + i] for i in range(20)]
        assert [packets[0].timestamp for packets in left] == [2**32 - 2000 + 960 * i for i in range(20)]
        assert wire.buffer.next_timer() is None
        assert {packets[0].source for packets in left} == {1}

    def test_reordered(self) -> None:
        """The packet that was missing lets the others go."""
        wire = Wire()
        assert [wire.push(i, 0.0) for i in (0, 2, 3, 1, 4)] == [[0], [], [], [1, 2, 3], [4]]

    def test_a_hole_is_given_60_ms(self) -> None:
        """From the arrival of the oldest packet behind it; then its packet is late."""
        wire = Wire()
        wire.push(0, 1.0)
        wire.push(2, 1.04)
        wire.push(3, 1.06)
        assert wire.buffer.next_timer() == 1.04 + REORDER_WAIT_S
        assert wire.tick(1.04 + REORDER_WAIT_S - 0.001) == []
        assert wire.tick(1.04 + REORDER_WAIT_S) == [2, 3]
        assert wire.push(1, 1.2) == []
        assert wire.push(1, 1.2) == []
        statistics = wire.buffer.statistics
        assert (statistics.given_up, statistics.late, statistics.duplicates) == (1, 1, 1)
        assert wire.push(4, 1.2) == [4]

    def test_arrival_gives_up_a_hole_as_well(self) -> None:
        """A timer that fires late does not hold packets back."""
        wire = Wire()
        wire.push(0, 1.0)
        wire.push(2, 1.02)
        assert wire.push(3, 1.09) == [2, 3]

    def test_two_holes_have_a_clock_each(self) -> None:
        """Packets behind a second hole wait for their own time."""
        wire = Wire()
        wire.push(0, 1.0)
        wire.push(2, 1.02)
        wire.push(4, 1.05)
        assert wire.tick(1.02 + REORDER_WAIT_S) == [2]
        assert wire.buffer.next_timer() == 1.05 + REORDER_WAIT_S
        assert wire.tick(1.05 + REORDER_WAIT_S) == [4]

    def test_duplicates(self) -> None:
        """Of a packet that left, and of one that waits."""
        wire = Wire()
        assert [wire.push(i, 0.0) for i in (0, 0, 2, 2, 1)] == [[0], [], [], [], [1, 2]]
        assert wire.buffer.statistics.duplicates == 2

    def test_no_more_than_200_ms_wait(self) -> None:
        """A burst behind a hole does not pile up."""
        wire = Wire()
        wire.push(0, 1.0)
        left = [wire.push(i, 1.0) for i in range(2, 20)]
        full = int(MAX_WAITING_S / 0.02)
        assert left[:full] == [[]] * full
        assert left[full] == list(range(2, full + 3))

    def test_timestamps_cannot_lift_the_bound(self) -> None:
        """Packets that all claim to be from the same moment wait in a bounded number."""
        buffer = JitterBuffer()
        buffer.push(0, 0, 1, b"", 0.0)
        waited = [buffer.push(i, 5, 1, b"", 0.0) for i in range(2, 100)]
        assert len(waited[MAX_WAITING_PACKETS - 1]) == MAX_WAITING_PACKETS
        assert not any(waited[: MAX_WAITING_PACKETS - 1])

    @given(st.permutations(range(30)), st.sets(st.integers(1, 29)))
    def test_any_order_comes_out_sorted(self, order: list[int], lost: set[int]) -> None:
        """Each packet leaves once, in order, or was late; nothing waits for ever."""
        wire = Wire()
        left = wire.push(0, 0.0)
        now = 0.0
        for index in order:
            now += 0.005
            if index and index not in lost:
                left += wire.push(index, now)
        left += wire.tick(now + REORDER_WAIT_S)
        assert left == sorted(set(left))
        statistics = wire.buffer.statistics
        assert statistics.received == len(left) + statistics.late + statistics.duplicates
        assert wire.buffer.next_timer() is None


class TestSources:
    def test_a_new_ssrc_needs_two_packets(self) -> None:
        """Then what waited for the old one leaves first, and the clock is a new one."""
        wire = Wire()
        wire.push(0, 0.0)
        wire.push(2, 0.0)
        other = Wire(wire.buffer, first=100, stamp=0)
        assert other.push(0, 0.01, ssrc=2) == []
        left = wire.buffer.push(101, 960, 2, b"1", 0.02)
        assert [(p.source, p.payload) for p in left] == [(1, b"2"), (2, b"0"), (2, b"1")]
        assert wire.buffer.statistics.sources == 2

    def test_a_stray_packet_changes_nothing(self) -> None:
        """Whatever its SSRC or number; an old sender that goes on makes the next stray start over."""
        wire = Wire()
        wire.push(0, 0.0)
        assert wire.push(5000, 0.0) == []
        assert wire.push(1, 0.0) == [1]
        assert wire.push(5001, 0.0) == []
        assert wire.push(7, 0.0, ssrc=9) == []
        assert wire.push(2, 0.0) == [2]
        assert wire.buffer.statistics.strays == 3

    @pytest.mark.parametrize("jump", [150, -150, 30_000])
    def test_a_restarted_sender_is_followed(self, jump: int) -> None:
        """Two consecutive packets from far off are a restart: a new source, at once in order."""
        wire = Wire()
        assert wire.push(0, 0.0) == [0]
        assert wire.push(jump, 5.0) == []
        assert wire.push(jump + 1, 5.02) == [jump, jump + 1]
        assert wire.push(jump + 2, 5.04) == [jump + 2]

    @pytest.mark.parametrize(
        ("ssrc", "seconds", "source"), [(1, 2.02, 1), (1, MAX_HOLE_S, 1), (1, MAX_HOLE_S + 0.02, 2), (2, 2.02, 2)]
    )
    def test_a_long_hole_is_no_other_sender(self, ssrc: int, seconds: float, source: int) -> None:
        """Of one SSRC, whose timestamps go on as its numbers do: the same clock. What waited leaves first."""
        wire = Wire()
        wire.push(0, 0.0)
        wire.push(2, 0.0)
        jump = 2 + round(seconds * 50)
        assert wire.push(jump, 5.0, ssrc) == []
        number, stamp = (wire.first + jump + 1) % 2**16, (wire.stamp + 960 * (jump + 1)) % 2**32
        left = wire.buffer.push(number, stamp, ssrc, b"%d" % (jump + 1), 5.02)
        assert [(p.source, p.payload) for p in left] == [
            (1, b"2"), (source, b"%d" % jump), (source, b"%d" % (jump + 1)),
        ]  # fmt: skip
        assert wire.buffer.statistics.given_up == (jump - 2 if source == 1 else 1)
        assert wire.push(jump + 2, 5.04, ssrc) == [jump + 2]

    @pytest.mark.parametrize("stamp", [0, 480, 960, 2**31 + 5000])
    def test_a_clock_set_back_is_a_new_source(self, stamp: int) -> None:
        """Timestamps never go backwards, or stand still, within a source."""
        buffer = JitterBuffer()
        buffer.push(1, 960, 1, b"", 0.0)
        (packet,) = buffer.push(2, stamp, 1, b"", 0.02)
        assert (packet.source, packet.timestamp) == (2, stamp)

    @given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(0, 3)), max_size=60))
    def test_garbage_keeps_the_promises(self, packets: list[tuple[int, int, int]]) -> None:
        """Within a source, numbers and timestamps only grow, whatever comes."""
        buffer = JitterBuffer()
        left = [p for i, (n, t, s) in enumerate(packets) for p in buffer.push(n, t, s, b"", i * 0.01)]
        left += buffer.tick(1e9)
        for before, after in itertools.pairwise(left):
            assert after.source > before.source or (
                after.sequence_number > before.sequence_number and after.timestamp > before.timestamp
            )
