"""Recordings of which something is missing: their end, a pass that begins, the language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.integration.transcriber.http.test_recordings import process, spoken, transcribe
from tests.support.audio.recordings import CODECS, encode, web
from tests.support.fakes.scripted_engine import ScriptedEngine
from transcriber.core.recording import RecordingWindow
from transcriber.core.windows import Hypothesis, Window


@pytest.mark.parametrize("kind", CODECS)
async def test_a_file_that_was_cut_off_gives_what_is_there_or_says_so(kind: str) -> None:
    """The first word of two, or 415; never an internal error."""
    data = encode(kind, spoken("alpha", "bravo"))
    async with web() as at:
        answer = await transcribe(at, data[: round(0.55 * len(data))])
    if kind in ("wav", "mp4"):  # the one says how long it is; the other has its table at its end
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "file")
        assert "not whole" in answer.json()["error"]["message"]
    else:
        assert (answer.status_code, answer.json()) == (200, {"text": "alpha"})


async def test_a_window_that_cannot_begin_is_an_error_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once more, then 500; the next recording is heard."""

    def broken(_: RecordingWindow) -> None:
        raise KeyError("secret")

    data = encode("wav", spoken("alpha"))
    async with web() as at:
        with monkeypatch.context() as patch:
            patch.setattr(RecordingWindow, "begin", broken)
            answer = await transcribe(at, data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failed")
        assert (await transcribe(at, data)).json() == {"text": "alpha"}


async def test_a_recording_whose_language_nobody_says_has_none() -> None:
    """Empty, in OpenAI's form and in a chunk's; where it was named it is that."""

    class Silent(ScriptedEngine):
        def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
            return [replace(heard, language=None) for heard in super().transcribe(windows)]

    data = encode("wav", spoken("alpha"))
    async with web(Silent(timed=True)) as at:
        for given, told in (({}, ""), ({"language": "de"}, "de")):
            form = {"response_format": "verbose_json", **given}
            assert (await transcribe(at, data, form)).json()["language"] == told
            chunk = (await process(at, data, seq=str(len(told)), **given)).json()
            assert (chunk["meta"]["language"], [s["language"] for s in chunk["segments"]]) == (told, [told])
