"""An Opus track on a loop of virtual time: packets in, frames out, timers inside."""

from __future__ import annotations

import asyncio
import functools
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.audio.frame import AudioFrame
from bot.drivers.opus_track import OpusTrack
from common.audio.opus import OpusEncoder
from tests.support.audio.sounds import voice
from tests.support.virtual_time import loop_factory

OPUS, COMFORT_NOISE = 111, 13
FRAME_SAMPLES = 320


@functools.cache
def payloads() -> tuple[bytes, ...]:
    """Half a second of voice in packets of 20 ms."""
    encoder = OpusEncoder()
    return tuple(encoder.encode(pcm) for pcm in voice(0.5).reshape(-1, FRAME_SAMPLES))


@pytest.fixture(autouse=True)
def libopus_is_loaded() -> None:
    """Looking for it blocks, which no async test may."""
    payloads()


def send(track: OpusTrack, number: int, ssrc: int = 1, payload_type: int = OPUS) -> None:
    """One packet, now."""
    payload = payloads()[number % len(payloads())]
    now = asyncio.get_running_loop().time()
    track.packet(number % 2**16, number * 960 % 2**32, ssrc, payload_type, payload, now)


async def test_packets_become_frames_at_once(virtual_time: None) -> None:
    """In order, contiguous, labelled, each with its arrival."""
    frames: list[AudioFrame] = []
    track = OpusTrack("t", frames.append, {OPUS})
    for number in range(10):
        send(track, number)
        await asyncio.sleep(0.02)
    assert [frame.position for frame in frames] == [number * FRAME_SAMPLES for number in range(10)]
    assert {(frame.track_id, frame.source) for frame in frames} == {("t", frames[0].source)}
    assert track.packets == track.statistics.packets.received == 10
    track.close()


async def test_a_lost_packet_is_waited_for_by_the_track_itself(virtual_time: None) -> None:
    """Nobody has to call: after the jitter buffer's patience the audio behind the hole comes out."""
    frames: list[AudioFrame] = []
    track = OpusTrack("t", frames.append)
    send(track, 0)
    send(track, 2)
    assert len(frames) == 1
    await asyncio.sleep(0.2)
    assert frames[-1].position + len(frames[-1].pcm) == 3 * FRAME_SAMPLES
    track.close()


async def test_other_payload_types_are_counted_and_dropped(virtual_time: None) -> None:
    """Comfort noise or a second codec on the same port is not Opus."""
    frames: list[AudioFrame] = []
    track = OpusTrack("t", frames.append, {OPUS})
    send(track, 0, payload_type=COMFORT_NOISE)
    assert (frames, track.foreign, track.packets) == ([], 1, 0)
    track.close()


async def test_a_new_sender_is_a_new_source(virtual_time: None) -> None:
    """Two tracks, or a sender that starts anew, never share a clock."""
    frames: list[AudioFrame] = []
    first, second = OpusTrack("a", frames.append), OpusTrack("b", frames.append)
    send(first, 0)
    send(second, 0)
    await asyncio.sleep(1)
    for number in range(500, 503):
        send(first, number, ssrc=2)
        await asyncio.sleep(0.02)
    assert len({frame.source for frame in frames}) == 3
    first.close()
    second.close()


async def test_after_close_nothing_comes(virtual_time: None) -> None:
    """Neither from packets nor from a timer that was set."""
    frames: list[AudioFrame] = []
    track = OpusTrack("t", frames.append)
    send(track, 0)
    send(track, 2)
    track.close()
    track.close()
    send(track, 3)
    await asyncio.sleep(1)
    assert len(frames) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([1, 2]), st.floats(0, 0.3)), max_size=60))
def test_any_order_of_packets_gives_growing_positions(packets: list[tuple[int, int, float]]) -> None:
    """Late, doubled, from two senders: no error, and positions never go back within a source."""

    async def play() -> list[AudioFrame]:
        frames: list[AudioFrame] = []
        track = OpusTrack("t", frames.append)
        for number, ssrc, pause in packets:
            send(track, number, ssrc)
            await asyncio.sleep(pause)
        await asyncio.sleep(1)
        track.close()
        return frames

    with asyncio.Runner(loop_factory=loop_factory(True)) as runner:
        frames = runner.run(play())
    for before, after in itertools.pairwise(frames):
        assert after.source != before.source or after.position >= before.position + len(before.pcm)
