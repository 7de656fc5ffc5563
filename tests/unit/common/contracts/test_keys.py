"""Names in Redis: consumers know them by heart."""

from __future__ import annotations

from common.contracts import keys


def test_every_name_is_as_documented() -> None:
    """docs/redis.md promises these; sequence and fence lie in their stream's hash slot."""
    assert keys.SEGMENT_STREAM == "transcription_segments"
    assert keys.segment_sequence("c") == "{transcription_segments}:seq:c"
    assert keys.segment_fence("c") == "{transcription_segments}:fence:c"
    assert keys.meeting_zero("c") == "{transcription_segments}:zero:c"
    assert keys.status_stream("c") == "earshot:status:c"
    assert keys.status_sequence("c") == "{earshot:status:c}:seq"
    assert keys.status_fence("c") == "{earshot:status:c}:fence"
    assert (keys.lock("c"), keys.heartbeat("c")) == ("earshot:lock:c", "earshot:bot:c")
    assert keys.live_channel(7) == "tc:meeting:7:mutable"
    assert keys.command_channels("c", 7) == ("bot_commands:c", "bot_commands:meeting:7")
    assert keys.leases("x")[0] == "{earshot:lease:x}:until"
    assert {key.partition("}")[0] for key in keys.leases("x")} == {"{earshot:lease:x"}
