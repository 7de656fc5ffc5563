"""Both sides of a connection, message by message."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.protocol import (
    END_OF_AUDIO,
    EXTENSIONS,
    MAX_BAD_MESSAGES,
    Acked,
    Audio,
    ClientProtocol,
    Disconnected,
    EndOfAudio,
    Handshake,
    LanguageDetected,
    Opened,
    ProtocolError,
    Ready,
    Refused,
    Resume,
    Segments,
    ServerProtocol,
    UtteranceEnd,
    Wait,
    Warned,
    WireSegment,
    WireWord,
)

PCM = np.array([0, 1000, -32768, 32767], np.int16)


def pair(handshake: Handshake) -> tuple[ClientProtocol, ServerProtocol]:
    """A client and a server after their handshake."""
    client, server = ClientProtocol(handshake), ServerProtocol()
    assert server.receive(client.hello()) == [Opened(handshake)]
    events = [event for message in server.ready() for event in client.receive(message)]
    assert events == [Ready("faster_whisper", handshake.extensions & EXTENSIONS)]
    return client, server


def messages_of(sent: list[str]) -> list[object]:
    """What the server sent, parsed."""
    return [json.loads(message) for message in sent]


def test_both_ready_forms_are_sent() -> None:
    """The older fork's clients wait for the first, stock clients for the second; extensions only if asked for."""
    server = ServerProtocol()
    server.receive('{"uid": "u", "language": "en"}')
    assert server.ready() == [
        '{"uid": "u", "status": "SERVER_READY"}',
        '{"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}',
    ]
    server = ServerProtocol(offered=frozenset({"ack"}))
    server.receive('{"uid": "u", "extensions": ["ack", "int16", "telepathy"]}')
    assert messages_of(server.ready())[1] == {
        "uid": "u", "message": "SERVER_READY", "backend": "faster_whisper", "extensions": ["ack"],
    }  # fmt: skip


def test_audio_goes_through_unchanged_in_both_formats() -> None:
    """int16 in, int16 out: as float32 without the extension, as int16 with it."""
    for extensions, size in ((frozenset[str](), 16), (EXTENSIONS, 8)):
        client, server = pair(Handshake("u", extensions=extensions))
        frame = client.audio(PCM)
        assert len(frame) == size
        [audio] = server.receive(frame)
        assert isinstance(audio, Audio)
        assert audio.samples.tolist() == PCM.tolist()
        assert (audio.first_sample, client.sent_until, server.received_until) == (0, 4, 4)
        assert server.receive(b"") == []


def test_a_client_that_is_not_ready_or_not_granted_sends_nothing() -> None:
    """Audio before ready, and a text frame for a stock server, are bugs of the caller."""
    client = ClientProtocol(Handshake("u"))
    with pytest.raises(RuntimeError):
        client.audio(PCM)
    with pytest.raises(RuntimeError):
        client.end_utterance(0)


def test_resume_moves_the_clock_of_both_sides() -> None:
    """The first sample of the new connection is the one named; without the grant it is 0."""
    client, server = pair(Handshake("u", extensions=EXTENSIONS, resume=Resume("u0", 16_000)))
    assert (client.clock_start, server.clock_start) == (16_000, 16_000)
    [audio] = server.receive(client.audio(PCM))
    assert isinstance(audio, Audio)
    assert audio.first_sample == 16_000
    client, server = pair(Handshake("u", resume=Resume("u0", 16_000)))
    assert (client.clock_start, server.clock_start) == (0, 0)


def test_the_end_of_an_utterance_lies_in_the_audio_sent() -> None:
    """It neither goes back nor beyond."""
    client, server = pair(Handshake("u", extensions=EXTENSIONS))
    server.receive(client.audio(PCM))
    assert server.receive(client.end_utterance(4)) == [UtteranceEnd(4)]
    assert server.receive(client.end_utterance(4)) == [UtteranceEnd(4)]
    for sample in (3, 5):
        with pytest.raises(ProtocolError, match="outside"):
            server.receive(client.end_utterance(sample))
    with pytest.raises(ProtocolError, match="Unknown control"):
        server.receive('{"utterance": "begin", "sample": 4}')


def test_text_frames_need_a_grant() -> None:
    """A stock client's text frame is an error; the older fork's control messages are known and ignored."""
    _, server = pair(Handshake("u"))
    with pytest.raises(ProtocolError, match="binary"):
        server.receive("END_OF_AUDIO")
    _, server = pair(Handshake("u", platform="zoom"))
    assert server.receive('{"type": "speaker_activity", "payload": {}}') == []
    with pytest.raises(ProtocolError):
        server.receive('{"type": "other"}')


def test_a_conversation_in_the_older_forks_dialect() -> None:
    """Its bot's messages as they are: handshake, metadata with every frame, speaker events, leaving, end."""
    server = ServerProtocol()
    [opened] = server.receive(
        '{"uid": "u", "language": null, "task": "transcribe", "model": null, "use_vad": false, "platform": '
        '"google_meet", "token": "t", "meeting_id": "abc-defg-hij", "meeting_url": "https://meet.example/abc-defg-hij"}'
    )
    assert isinstance(opened, Opened)
    assert [message["status"] for message in map(json.loads, server.ready()) if "status" in message] == ["SERVER_READY"]
    control = (
        '{"type": "audio_chunk_metadata", "payload": {"length": 4096, "sample_rate": 16000, "client_timestamp_ms": 1}}',
        '{"type": "speaker_activity", "payload": {"event_type": "SPEAKER_START", "participant_name": "Ana"}}',
        '{"type": "session_control", "payload": {"event": "LEAVING_MEETING", "uid": "u"}}',
    )
    for message in control * 10:
        assert server.receive(message) == []
    [audio] = server.receive(np.zeros(4096, "<f4").tobytes())
    assert isinstance(audio, Audio)
    assert (audio.first_sample, len(audio.samples)) == (0, 4096)
    said = {"start": "0.000", "end": "1.000", "text": " a", "completed": True, "language": "en"}
    [_, final] = server.segments([WireSegment(0, 1, " a", True, "u:1", "en")])
    assert messages_of([final]) == [{"uid": "u", "segments": [said]}]
    assert server.receive(END_OF_AUDIO) == [EndOfAudio()]


def test_a_malformed_frame_leaves_its_time_and_the_tenth_is_fatal() -> None:
    """The clock goes on as the client's does."""
    _, server = pair(Handshake("u"))
    with pytest.raises(ProtocolError) as caught:
        server.receive(np.full(100, np.nan, "<f4").tobytes())
    assert not caught.value.fatal
    [audio] = server.receive(np.zeros(1, "<f4").tobytes())
    assert isinstance(audio, Audio)
    assert audio.first_sample == 100
    for count in range(2, MAX_BAD_MESSAGES + 1):
        with pytest.raises(ProtocolError) as caught:
            server.receive(b"odd")
        assert caught.value.fatal == (count == MAX_BAD_MESSAGES)


def test_a_refusal_carries_the_uid_of_a_malformed_handshake() -> None:
    """A stock client ignores messages without its own; one that is not text is not repeated."""
    for first, uid in (('{"uid": "u", "language": "klingon"}', "u"), ('{"uid": 5}', ""), ("[", "")):
        server = ServerProtocol()
        with pytest.raises(ProtocolError) as caught:
            server.receive(first)
        assert caught.value.fatal
        assert messages_of([server.refuse("no")]) == [{"uid": uid, "status": "ERROR", "message": "no"}]


def test_nothing_counts_after_the_end() -> None:
    """END_OF_AUDIO is the last message."""
    client, server = pair(Handshake("u"))
    assert client.end_of_audio() == END_OF_AUDIO
    assert server.receive(END_OF_AUDIO) == [EndOfAudio()]
    assert server.receive(b"odd") == []


def test_a_stock_client_gets_history_and_each_final_as_partial_first() -> None:
    """Its subtitle writer adds the last partial unless the completed text is the same."""
    _, server = pair(Handshake("u", send_last_n_segments=1))
    a = WireSegment(0, 1, " a", True, "u:1", "en", (WireWord(" a", 0, 1),))
    wire_a = {"start": "0.000", "end": "1.000", "text": " a", "completed": True}
    assert messages_of(server.segments([a])) == [
        {"uid": "u", "segments": [wire_a | {"completed": False}]},
        {"uid": "u", "segments": [wire_a]},
    ]
    b = WireSegment(1, 2, " b", False)
    wire_b = {"start": "1.000", "end": "2.000", "text": " b", "completed": False}
    assert messages_of(server.segments([b])) == [{"uid": "u", "segments": [wire_a, wire_b]}]
    final = WireSegment(1, 2, " b", True)
    assert messages_of(server.segments([final])) == [{"uid": "u", "segments": [wire_a, wire_b | {"completed": True}]}]
    assert messages_of(server.segments([b]))[0] == {"uid": "u", "segments": [wire_b | {"completed": True}, wire_b]}
    assert server.segments([]) == []
    assert server.acked(5) == []


def test_our_client_gets_news_only_with_ids_and_acknowledgements() -> None:
    """Each segment once, with the keys that were granted; words only if asked for."""
    client, server = pair(Handshake("u", extensions=EXTENSIONS, word_timestamps=True))
    segment = WireSegment(0, 1, " a", True, "u:1", "en", (WireWord(" a", 0, 1, 0.5),))
    [message] = server.segments([segment])
    assert client.receive(message) == [Segments((segment,))]
    assert [client.receive(m) for m in server.acked(16)] == [[Acked(16)]]
    doubtful = WireSegment(1, 2, " b", True, doubtful=True)
    assert client.receive(server.segments([doubtful])[0]) == [Segments((doubtful,))]
    stock, server = pair(Handshake("u", extensions=EXTENSIONS - {"doubtful"}))
    assert stock.receive(server.segments([doubtful])[0]) == [Segments((replace(doubtful, doubtful=False),))]


def test_every_other_server_message_is_understood() -> None:
    """Wait, refusal, warning, end, language; other uids and unknown messages give nothing."""
    client, server = pair(Handshake("u"))
    for message, event in (
        (server.wait(2.5), Wait(2.5)),
        (server.refuse("no"), Refused("no")),
        (server.warn("hm"), Warned("hm")),
        (server.disconnect(), Disconnected()),
        (server.language("en", 0.9312), LanguageDetected("en", 0.931)),
    ):
        assert client.receive(message) == [event]
    for nothing in ('{"uid": "other", "acked": 1}', '{"uid": "u", "translated_segments": []}',
                    '{"uid": "u", "segments": []}', '{"uid": "u", "status": "NEW"}'):  # fmt: skip
        assert client.receive(nothing) == []
    assert client.receive('{"uid": "u", "message": "SERVER_READY", "extensions": ["ack"]}') == [Ready("faster_whisper")]
    with pytest.raises(ProtocolError):
        client.receive(b"binary")


STOCK_MESSAGES = {
    '{"uid": "u", "status": "WAIT", "message": 2.5}': Wait(2.5),
    '{"uid": "u", "status": "ERROR", "message": "Failed to load model: small"}': Refused("Failed to load model: small"),
    '{"uid": "u", "status": "WARNING", "message": "Falling back."}': Warned("Falling back."),
    '{"uid": "u", "message": "SERVER_READY", "backend": "tensorrt"}': Ready("tensorrt"),
    '{"uid": "u", "message": "DISCONNECT"}': Disconnected(),
    '{"uid": "u", "language": "en", "language_prob": 0.93}': LanguageDetected("en", 0.93),
    '{"uid": "u", "segments": [{"start": "0.000", "end": "1.240", "text": " a", "completed": true, "speaker": "A", '
    '"words": [{"word": " a", "start": "0.000", "end": "1.240", "probability": 0.5}]}, '
    '{"start": "1.240", "end": "2.000", "text": " b", "completed": false}]}': Segments(
        (
            WireSegment(0, 1.24, " a", True, words=(WireWord(" a", 0, 1.24, 0.5),)),
            WireSegment(1.24, 2, " b", False),
        )
    ),
    '{"uid": "u", "translated_segments": [{"start": "0.000", "end": "1.240", "text": " un", "completed": true, '
    '"target_language": "fr"}]}': None,
    '{"uid": "u", "summary": "of a finalizer"}': None,
}
"""What whisper-live 0.10.0's server writes, and what it means."""


@pytest.mark.parametrize(("message", "event"), STOCK_MESSAGES.items())
def test_a_stock_servers_messages_mean_what_they_say(message: str, event: object) -> None:
    """Each as that server writes it."""
    assert ClientProtocol(Handshake("u")).receive(message) == ([event] if event else [])


def test_our_messages_are_those_of_a_stock_server() -> None:
    """Letter by letter, where that server has one."""
    _, server = pair(Handshake("u"))
    segments = [WireSegment(0, 1.24, " a", True)]
    written = [server.wait(2.5), server.refuse("Failed to load model: small"), server.warn("Falling back."),
               server.disconnect(), server.language("en", 0.93)]  # fmt: skip
    assert set(written) <= STOCK_MESSAGES.keys()
    assert server.segments(segments)[1] == (
        '{"uid": "u", "segments": [{"start": "0.000", "end": "1.240", "text": " a", "completed": true}]}'
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SERVER_KEYS = st.sampled_from(["message", "status", "segments", "acked", "language", "language_prob", "extensions"])


@given(
    st.lists(st.text() | st.dictionaries(SERVER_KEYS, JSON).map(lambda d: json.dumps({"uid": "u", **d})), max_size=5)
)
def test_a_client_survives_any_server(messages: list[str]) -> None:
    """Events or a ProtocolError, whatever comes."""
    client = ClientProtocol(Handshake("u", extensions=EXTENSIONS))
    for message in messages:
        try:
            client.receive(message)
        except ProtocolError:
            continue


@given(
    st.frozensets(st.sampled_from(sorted(EXTENSIONS))),
    st.lists(
        st.binary(max_size=20)
        | st.text(max_size=20)
        | st.dictionaries(st.sampled_from(["utterance", "sample", "type"]), JSON).map(json.dumps)
        | st.integers(0, 20).map(lambda n: json.dumps({"utterance": "end", "sample": n})),
        max_size=15,
    ),
)
def test_a_server_survives_any_client(extensions: frozenset[str], messages: list[str | bytes]) -> None:
    """Events or a ProtocolError; the clock never goes back."""
    _, server = pair(Handshake("u", extensions=extensions))
    before = 0
    for message in messages:
        try:
            server.receive(message)
        except ProtocolError as error:
            if error.fatal:
                return
        assert server.received_until >= before
        before = server.received_until
