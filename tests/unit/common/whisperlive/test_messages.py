"""The values of the wire format: read strictly, written as stock peers expect."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.fields import ProtocolError
from common.whisperlive.messages import (
    AUDIO_FORMATS,
    MAX_TEXT_CHARACTERS,
    Handshake,
    Resume,
    WireSegment,
    WireWord,
    read_samples,
)

STOCK_HELLO = (
    '{"uid": "9b9b", "language": "en", "task": "transcribe", "model": "small", "use_vad": true, '
    '"send_last_n_segments": 10, "no_speech_thresh": 0.45, "clip_audio": false, "same_output_threshold": 10, '
    '"enable_translation": false, "target_language": "fr", "hotwords": null, "initial_prompt": null, '
    '"vad_parameters": null, "word_timestamps": false, "enable_diarization": false, "max_speakers": 10}'
)
"""What whisper-live 0.10.0's client sends (key order as ours)."""
FORK_HELLO = (
    '{"uid": "u1", "language": null, "task": null, "model": null, "use_vad": false, "platform": "google_meet", '
    '"meeting_url": "https://meet.google.com/abc", "token": "t0", "meeting_id": 7, "transcription_tier": "realtime"}'
)


def test_a_stock_handshake_is_read_and_written_whole() -> None:
    """Our client's first message, without extensions, is byte for byte what the stock client sends."""
    handshake = Handshake.parse(STOCK_HELLO)
    assert handshake == Handshake("9b9b", language="en", model="small")
    assert handshake.serialise() == STOCK_HELLO


def test_more_than_we_grant_is_cut_to_what_we_grant() -> None:
    """Stock servers take any number: a client that asks for much is not refused."""
    handshake = Handshake.parse(
        '{"uid": "u", "send_last_n_segments": 5000, "no_speech_thresh": 2, "max_speakers": 999}'
    )
    assert (handshake.send_last_n_segments, handshake.no_speech_thresh, handshake.max_speakers) == (100, 1.0, 100)


def test_the_older_forks_handshake_is_read() -> None:
    """Null means default; the fork's own keys are kept, and the token is not shown."""
    handshake = Handshake.parse(FORK_HELLO)
    assert (handshake.task, handshake.model, handshake.platform, handshake.meeting_id) == (
        "transcribe",
        None,
        "google_meet",
        7,
    )
    assert "t0" not in repr(handshake)
    assert json.loads(handshake.serialise())["token"] == "t0"
    assert Handshake.parse('{"uid": "u", "meeting_id": "m-1"}').meeting_id == "m-1"


def test_extensions_travel_in_the_handshake() -> None:
    """What goes beyond stock servers is in the same message."""
    ours = Handshake(
        "u", extensions=frozenset({"ack", "int16"}), resume=Resume("u0", 160), vad_parameters={"onset": 0.4}
    )
    assert Handshake.parse(ours.serialise()) == ours
    assert json.loads(ours.serialise())["extensions"] == ["ack", "int16"]
    assert Handshake.parse(Handshake("u", audio_format="int16").serialise()).audio_format == "int16"


def test_every_wrong_key_is_named() -> None:
    """One refusal lists all that is wrong, with what would be right."""
    with pytest.raises(ProtocolError) as caught:
        Handshake.parse(
            '{"language": "klingon!", "task": "sing", "use_vad": 1, "send_last_n_segments": -1, "no_speech_thresh": -2,'
            '"vad_parameters": {"onsett": 1}, "extensions": "ack", "max_speakers": 0, '
            '"resume": {"uid": "", "sample": 1}}'
        )
    assert caught.value.fatal
    for key in ("uid", "language", "task", "use_vad", "send_last_n_segments", "no_speech_thresh", "vad_parameters",
                "extensions", "resume", "max_speakers"):  # fmt: skip
        assert f"{key}: " in str(caught.value)
    assert "onsett" in str(caught.value)
    assert "transcribe, translate" in str(caught.value)


@pytest.mark.parametrize("message", [b"{}", "", "[]", "nonsense", '{"uid": NaN}', "[" * 100_000, '{"uid": ""}'])
def test_what_is_not_a_handshake_is_refused(message: str | bytes) -> None:
    """Binary, no JSON, no object, no uid: a fatal ProtocolError."""
    with pytest.raises(ProtocolError) as caught:
        Handshake.parse(message)
    assert caught.value.fatal


def test_automatic_language_has_several_names() -> None:
    """Null, an empty text and `auto` all mean detection."""
    for language in ("null", '""', '"auto"', '"AUTO"'):
        assert Handshake.parse(f'{{"uid": "u", "language": {language}}}').language is None
    assert Handshake.parse('{"uid": "u", "vad_parameters": {"threshold": null}}').vad_parameters is None


def test_languages_are_whispers_however_they_are_written() -> None:
    """Codes, regions and names; of a server's segment what Whisper does not know is none."""
    hello = Handshake.parse('{"uid": "u", "language": "en-US", "allowed_languages": ["PT-br", "german"]}')
    assert (hello.language, hello.allowed_languages) == ("en", frozenset({"pt", "de"}))
    with pytest.raises(ProtocolError, match=r"language: expected a language of Whisper's.*got 'xx'"):
        Handshake.parse('{"uid": "u", "language": "xx"}')
    segment = {"start": 0, "end": 1, "text": " a"}
    assert [WireSegment.parse({**segment, "language": code}).language for code in ("EN", "und")] == ["en", None]


def test_a_handshake_as_python_writes_it_is_read() -> None:
    """Without a limit on speech, as faster-whisper has it by default, which is no JSON; others are refused by name."""
    options = {"threshold": 0.5, "neg_threshold": None, "min_speech_duration_ms": 0, "max_speech_duration_s": math.inf}
    hello = Handshake.parse(json.dumps({"uid": "u", "vad_parameters": options}))
    assert hello.vad_parameters == {"threshold": 0.5, "min_speech_duration_ms": 0}
    for wrong in (math.inf, -math.inf, math.nan):
        with pytest.raises(ProtocolError, match="vad_parameters: expected a finite number") as caught:
            Handshake.parse(json.dumps({"uid": "u", "vad_parameters": {"threshold": wrong}}))
        assert caught.value.uid == "u"


def test_unknown_keys_are_ignored() -> None:
    """Those that set limits for the whole server in 0.6, and of what is not to be had here."""
    more = {"max_clients": 4, "max_connection_time": 600, "known_speakers": [{"name": "Ana", "audio_base64": "UklG"}],
            "diarization_threshold": 0.55, "hf_token": None, "new": [1]}  # fmt: skip
    assert Handshake.parse(json.dumps({"uid": "u", **more})) == Handshake("u")


def test_the_languages_to_choose_from_travel_in_the_handshake() -> None:
    """Only when there are any, so that stock servers see nothing new; an empty list forbids nothing."""
    ours = Handshake("u", allowed_languages=frozenset({"pt", "en"}))
    assert json.loads(ours.serialise())["allowed_languages"] == ["en", "pt"]
    assert Handshake.parse(ours.serialise()) == ours
    assert "allowed_languages" not in Handshake("u", language="en").serialise()
    for none in ("[]", "null"):
        assert Handshake.parse(f'{{"uid": "u", "allowed_languages": {none}}}').allowed_languages == frozenset()
    for wrong in ('"en"', '["klingon"]', '["auto"]', "[null]", "[1]"):
        with pytest.raises(ProtocolError, match="allowed_languages: expected"):
            Handshake.parse(f'{{"uid": "u", "allowed_languages": {wrong}}}')


def test_a_segment_is_written_as_stock_servers_do() -> None:
    """Times are strings with three decimals; optional keys appear only when known."""
    segment = WireSegment(0.5, 1.25, " hello", True)
    assert segment.to_wire() == {"start": "0.500", "end": "1.250", "text": " hello", "completed": True}
    word = WireWord(" hello", 0.5, 1.0, 0.98765)
    whole = WireSegment(0.5, 1.25, " hello", False, "u:1", "en", (word,))
    assert whole.to_wire() == {
        "start": "0.500", "end": "1.250", "text": " hello", "completed": False, "segment_id": "u:1", "language": "en",
        "words": [{"word": " hello", "start": "0.500", "end": "1.000", "probability": 0.988}],
    }  # fmt: skip
    assert WireSegment(0.5, 1.25, " hello you", False, stable_len=6).to_wire()["stable_len"] == 6
    assert WireSegment.parse({"start": 0, "end": 1, "text": " hello", "stable_len": 3}).stable_len == 3

    back = WireSegment.parse(whole.to_wire())
    assert (back.segment_id, back.language, back.words) == ("u:1", "en", (WireWord(" hello", 0.5, 1.0, 0.988),))


def test_only_a_doubtful_final_says_so() -> None:
    """Null and nothing are the same; what is no truth value is refused."""
    doubtful = WireSegment(0.5, 1.25, " hello you", True, doubtful=True)
    assert WireSegment.parse(doubtful.to_wire()) == doubtful
    assert "doubtful" not in replace(doubtful, doubtful=False).to_wire()
    assert not WireSegment.parse({"start": 0, "end": 1, "text": " hello", "doubtful": None}).doubtful
    with pytest.raises(ProtocolError):
        WireSegment.parse({"start": 0, "end": 1, "text": " hello", "doubtful": "no"})


def test_a_segment_is_read_from_any_stock_server() -> None:
    """Times as numbers, no `completed`, keys we do not know."""
    assert WireSegment.parse({"start": 1, "end": 2.5, "text": "a", "speaker": 3}) == WireSegment(1, 2.5, "a", False)
    assert WireSegment.parse({"start": 2, "end": 1.93, "text": "a"}).end == 2  # seen from a starved one
    for wrong in ({"start": -1, "end": 1, "text": ""}, {"start": 0, "end": 1}, 7):
        with pytest.raises(ProtocolError):
            WireSegment.parse(wrong)


SPOKEN = "so we will sell the house"


@pytest.mark.parametrize("wrong", [SPOKEN, [SPOKEN], {SPOKEN: SPOKEN}])
@pytest.mark.parametrize("key", ["start", "end", "text", "completed", "words", "segment_id", "language", "stable_len"])
def test_a_wrong_value_in_a_segment_is_not_quoted(key: str, wrong: object) -> None:
    """A server that confuses its keys has what somebody said in any of them, and problems are logged."""
    segment = {"start": 0, "end": 1, "text": "a", "completed": True, key: wrong}
    if not isinstance(wrong, str) or key not in ("text", "segment_id", "language"):  # which are texts
        with pytest.raises(ProtocolError) as caught:
            WireSegment.parse(segment)
        assert "house" not in str(caught.value)
    with pytest.raises(ProtocolError, match=r"^expected .*, got (a text|a list|an object)$"):
        WireSegment.parse({"start": 0, "end": 1, "text": "a", "words": [{"word": "a", "start": wrong, "end": 1}]})


def test_samples_of_each_format_become_int16() -> None:
    """Float32 (clipped), int16 and uint8 frames."""
    floats = np.array([0.0, 0.5, -1.0, 1.5], "<f4").tobytes()
    assert read_samples(floats, AUDIO_FORMATS["float32"]).tolist() == [0, 16384, -32768, 32767]
    assert read_samples(np.array([-5, 7], "<i2").tobytes(), AUDIO_FORMATS["int16"]).tolist() == [-5, 7]
    assert read_samples(bytes([128, 0, 255]), AUDIO_FORMATS["uint8"]).tolist() == [0, -32768, 32512]


@pytest.mark.parametrize("frame", [b"abc", np.array([np.nan], "<f4").tobytes(), np.array([np.inf], "<f4").tobytes(),
                                   np.array([1e9], "<f4").tobytes()])  # fmt: skip
def test_what_is_not_audio_is_refused(frame: bytes) -> None:
    """Odd lengths, NaN, infinity and absurd values."""
    with pytest.raises(ProtocolError):
        read_samples(frame, AUDIO_FORMATS["float32"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["uid", "language", "task", "use_vad", "vad_parameters", "extensions", "resume", "meeting_id",
                        "send_last_n_segments", "no_speech_thresh", "audio_format", "hotwords",
                        "allowed_languages"])  # fmt: skip


@given(st.text() | st.dictionaries(KEYS, JSON).map(json.dumps) | st.binary())
def test_any_first_message_is_a_value_or_a_protocol_error(message: str | bytes) -> None:
    """The parser's promise, on anything."""
    try:
        handshake = Handshake.parse(message)
    except ProtocolError:
        return
    assert Handshake.parse(handshake.serialise()) == handshake


@given(JSON | st.dictionaries(st.sampled_from(["start", "end", "text", "completed", "words", "segment_id"]), JSON))
def test_any_segment_is_a_value_or_a_protocol_error(data: object) -> None:
    """The parser's promise, on anything."""
    try:
        segment = WireSegment.parse(data)
    except ProtocolError:
        return
    assert WireSegment.parse(segment.to_wire()).text == segment.text


@given(st.binary(), st.sampled_from(sorted(AUDIO_FORMATS)))
def test_any_frame_is_samples_or_a_protocol_error(frame: bytes, name: str) -> None:
    """The reader's promise, on anything."""
    try:
        samples = read_samples(frame, AUDIO_FORMATS[name])
    except ProtocolError:
        return
    assert samples.dtype == np.int16
    assert len(samples) == len(frame) // AUDIO_FORMATS[name].itemsize


@pytest.mark.parametrize(
    "key", ["hotwords", "initial_prompt", "model", "target_language", "platform", "token", "meeting_id"]
)
def test_of_a_long_text_the_start_is_kept(key: str) -> None:
    """A client may send a megabyte, and each pass would carry it."""
    hello = Handshake.parse(json.dumps({"uid": "u", key: "budget " * 10_000}))
    assert getattr(hello, key) == ("budget " * 1000)[:MAX_TEXT_CHARACTERS]


def test_of_a_long_list_the_start_is_kept() -> None:
    """Nothing known is as long."""
    names = [f"x{n}" for n in range(50_000)]
    hello = Handshake.parse(json.dumps({"uid": "u", "extensions": names, "allowed_languages": ["de"] * 50_000}))
    assert hello.extensions == set(names[:MAX_TEXT_CHARACTERS])
    assert hello.allowed_languages == {"de"}


@pytest.mark.parametrize("key", ["hotwords", "initial_prompt", "token", "meeting_url"])
def test_what_is_private_is_not_quoted(key: str) -> None:
    """Problems with a first message are logged."""
    with pytest.raises(ProtocolError, match=f"{key}: expected text$"):
        Handshake.parse(json.dumps({"uid": "u", key: ["canary"]}))


def test_a_problem_is_said_in_few_words() -> None:
    """However many keys are unknown."""
    with pytest.raises(ProtocolError, match="unknown 'onset0, ") as error:
        Handshake.parse(json.dumps({"uid": "u", "vad_parameters": {f"onset{n}": 1 for n in range(10_000)}}))
    assert len(str(error.value)) < 300
