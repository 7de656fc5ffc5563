"""Form fields and answers that are remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.uploads import AnswerCache, ApiError, ChunkForm, TranscriptionForm, requested_language

MODELS = {"demo", "whisper-1"}
ENGLISH, MANY = frozenset({"en"}), frozenset({"en", "de"})
CHUNK = {"roomId": "r", "timestamp": "1700000000.5", "seq": "7"}


def transcription(fields: dict[str, str], *granularities: str, known: frozenset[str] = MANY) -> TranscriptionForm:
    """The form with these fields and a model."""
    return TranscriptionForm.parse({"model": "demo", **fields}, granularities, MODELS, known)


def refused(fields: dict[str, str], *granularities: str, status: int = 400) -> object:
    """The parameter that a refusal names."""
    with pytest.raises(ApiError) as caught:
        transcription(fields, *granularities)
    assert caught.value.status == status
    return caught.value.body["error"]["param"]


def blamed(parse: Callable[[], object]) -> object:
    """The parameter that an ApiError names, None without one."""
    try:
        parse()
    except ApiError as error:
        return error.body["error"]["param"]
    return None


def test_a_form_with_nothing_but_the_model() -> None:
    """Is JSON with segments, in whatever language is spoken."""
    assert transcription({}) == TranscriptionForm()
    assert transcription({"response_format": "", "language": "", "prompt": ""}) == TranscriptionForm()


def test_a_form_with_everything() -> None:
    """Each field in its place; the prompt is not in the repr."""
    fields = {"language": "de-CH", "prompt": "Ursula", "response_format": "verbose_json", "temperature": "0.2"}
    form = transcription({**fields, "stream": "True"}, "word")
    assert form == TranscriptionForm("de", "Ursula", "verbose_json", words=True, segments=False, stream=True)
    assert transcription(fields, "word", "segment").segments
    assert "Ursula" not in repr(form)


def test_wrong_fields_are_named() -> None:
    """One by one."""
    assert refused({"model": ""}) == "model"
    assert refused({"response_format": "xml"}) == "response_format"
    assert refused({"response_format": "verbose_json"}, "letter") == "timestamp_granularities[]"
    assert refused({}, "word") == "timestamp_granularities[]"
    for value in ("2", "-0.1", "warm", "nan"):
        assert refused({"temperature": value}) == "temperature"
    assert refused({"language": "xx"}) == "language"
    unknown = r"'xx' is not a language of Whisper's \(a code such as en, yue or pt-BR, or its English name\)"
    for language, why in (("xx", unknown), ("fr-CA", "the model does not know 'fr-CA'")):
        with pytest.raises(ApiError, match=f"language: {why}"):
            requested_language({"language": language}, MANY)
    assert refused({"prompt": "x" * 4001}) == "prompt"
    assert refused({"stream": "perhaps"}) == "stream"


def test_a_model_that_is_not_here_is_not_found() -> None:
    """As OpenAI says it."""
    assert refused({"model": "large"}, status=404) == "model"
    with pytest.raises(ApiError, match="'large' does not exist here") as caught:
        transcription({"model": "large"})
    assert caught.value.body["error"].items() >= {"type": "invalid_request_error", "code": "model_not_found"}.items()


def test_errors_have_openais_shape() -> None:
    """Ours and the client's."""
    error = {"message": "no", "type": "invalid_request_error", "param": "p", "code": "c"}
    assert ApiError(400, "no", param="p", code="c").body == {"error": error}
    assert ApiError(503, "no").body["error"]["type"] == "server_error"


def test_a_model_with_one_language_takes_any_as_the_socket_does() -> None:
    """It has nothing to choose."""
    assert requested_language({"language": "fr"}, ENGLISH) == requested_language({}, ENGLISH) == "en"
    assert requested_language({}, MANY) is None


def test_a_chunk() -> None:
    """With its names and its id."""
    names = {"clientId": "c", "role": "host", "source": "mic", "channel": "Left", "trackId": "t"}
    form = ChunkForm.parse({**CHUNK, **names, "other": "x"})
    assert (form.chunk_id, form.role, form.channel, form.mixed, form.meta) == ("r_7", "host", 0, False, names)
    bare = ChunkForm.parse(CHUNK | {"timestamp": "2026-01-02T03:04:05+01:00", "channel": "mixed"})
    assert (bare.role, bare.channel, bare.mixed) == (None, None, True)


def test_a_chunk_is_the_same_only_with_all_its_names_and_its_audio() -> None:
    """Two clients of a room count from the same number, and so do today's meeting and tomorrow's."""
    names = ("roomId", "seq", "source", "clientId", "producerId", "trackId", "channel")
    one = CHUNK | dict.fromkeys(names, "1")
    key = ChunkForm.parse(one).key(b"audio")
    assert ChunkForm.parse(one | {"timestamp": "5", "role": "host"}).key(b"audio") == key
    assert ChunkForm.parse(one).key(b"other audio") != key
    for name in names:
        assert ChunkForm.parse(one | {name: "0"}).key(b"audio") != key, name


@pytest.mark.parametrize(
    ("hint", "meta"),
    [
        ("role=host;source=mic;peer=anna b", {"role": "host", "source": "mic", "peer": "anna b"}),
        ("source: tab, peer: 7f3a", {"source": "tab", "peer": "7f3a"}),
        ("role=host source=mic", {"role": "host", "source": "mic"}),
        ('{"role": "host", "source": 7, "peer": " p ", "names": ["Ana"]}', {"role": "host", "peer": "p"}),
        ("room about Kubernetes; names=Ana", {}),
        ("peer=" + "x" * 201, {}),
        ("[1]", {}),
        ("", {}),
    ],
)
def test_a_hint_says_whose_sound_it_is(hint: str, meta: dict[str, str]) -> None:
    """In what comes without a field of its own; it is nothing to be said."""
    form = ChunkForm.parse(CHUNK | {"context_hint": hint, "clientId": "c"})
    assert form.meta == {"clientId": "c", **meta}
    assert form.role == meta.get("role")
    told = ChunkForm.parse(CHUNK | {"context_hint": hint, "role": "guest", "source": ""})
    assert told.meta == {**meta, "role": "guest"}


@given(st.text())
def test_any_hint_is_understood_or_ignored(hint: str) -> None:
    """Up to its length."""
    assert ChunkForm.parse(CHUNK | {"context_hint": hint}).meta.keys() <= {"role", "source", "peer"}


@pytest.mark.parametrize("param", ["roomId", "timestamp", "seq"])
def test_what_a_chunk_cannot_do_without(param: str) -> None:
    """Is named when it is missing."""
    for fields in ({name: value for name, value in CHUNK.items() if name != param}, CHUNK | {param: ""}):
        with pytest.raises(ApiError, match=f"{param} is missing"):
            ChunkForm.parse(fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seq": "1.5"}, "seq"),
        ({"seq": "٣"}, "seq"),
        ({"seq": "9" * 19}, "seq"),
        ({"timestamp": "noon"}, "timestamp"),
        ({"timestamp": "nan"}, "timestamp"),
        ({"channel": "2"}, "channel"),
        ({"trackId": "x" * 201}, "trackId"),
    ],
)
def test_wrong_chunk_fields_are_named(fields: dict[str, str], param: str) -> None:
    """400 with the parameter."""
    with pytest.raises(ApiError) as caught:
        ChunkForm.parse(CHUNK | fields)
    assert (caught.value.status, caught.value.body["error"]["param"]) == (400, param)


@given(st.dictionaries(st.sampled_from(["roomId", "timestamp", "seq", "channel", "role", "source"]), st.text()))
def test_any_chunk_is_a_form_or_a_named_error(fields: dict[str, str]) -> None:
    """Nothing else is raised."""
    assert blamed(lambda: ChunkForm.parse({**CHUNK, **fields})) in {None, *fields}


@given(st.dictionaries(st.sampled_from(["model", "language", "response_format", "temperature", "stream"]), st.text()))
def test_any_form_is_a_form_or_a_named_error(fields: dict[str, str]) -> None:
    """Nothing else is raised."""
    assert blamed(lambda: transcription(fields)) in {None, *fields}


def test_roles() -> None:
    """One for all channels, or one each; none where none is named."""
    one, two, gap, none = (ChunkForm.parse(CHUNK | {"role": role}) for role in ("host", "host, guest", ",guest", ""))
    assert [one.role_of(0), one.role_of(1)] == ["host", "host"]
    assert [two.role_of(0), two.role_of(1), two.role_of(2)] == ["host", "guest", None]
    assert [gap.role_of(0), gap.role_of(1), none.role_of(0)] == [None, "guest", None]


def test_answers_are_remembered_up_to_a_number() -> None:
    """The oldest goes; each room has its own state."""
    answers = AnswerCache(max_answers=2)
    forms = [
        ChunkForm.parse(CHUNK | {"roomId": room, "seq": seq}) for room, seq in (("r", "9"), ("r", "2"), ("s", "5"))
    ]
    keys = [form.key(b"") for form in forms]
    assert answers.find(keys[0]) is None
    for key, form in zip(keys[:2], forms, strict=False):
        answers.keep(key, form, {"id": form.chunk_id})
    assert answers.find(keys[0]) == {"id": "r_9"}
    assert answers.state("r") == {"chunks": 2, "last_seq": 9}
    answers.keep(keys[2], forms[2], {})
    assert answers.find(keys[0]) is None
    assert (answers.state("r"), answers.state("none")) == (
        {"chunks": 1, "last_seq": 2},
        {"chunks": 0, "last_seq": None},
    )


def test_answers_are_remembered_up_to_a_size() -> None:
    """Long ones push more of the others out; one that is too long is not kept at all."""
    answers = AnswerCache(max_bytes=200)
    forms = [ChunkForm.parse(CHUNK | {"seq": str(seq)}) for seq in range(4)]
    keys = [form.key(b"") for form in forms]
    for key, form, size in zip(keys[:3], forms, (60, 60, 120), strict=False):
        answers.keep(key, form, {"text": "x" * size})
    assert [answers.find(key) is not None for key in keys] == [False, False, True, False]
    answers.keep(keys[3], forms[3], {"text": "x" * 300})
    assert answers.state("r") == {"chunks": 0, "last_seq": None}
    for _ in range(2):  # one and the same
        answers.keep(keys[0], forms[0], {"text": "x" * 100})
        assert answers.find(keys[0]) == {"text": "x" * 100}
