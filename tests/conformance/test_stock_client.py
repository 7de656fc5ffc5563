"""The unmodified PyPI client (whisper-live 0.10.0, no sound card) against our transcriber."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jiwer import wer

from tests.support.conformance import CHILDREN, Playing, child, said, speech, stock_environment, write
from tests.support.fakes.scripted_engine import silence, tone
from tests.support.transcribing import serving

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(90)]
CLIPS = ["ewan7", "ewan7", "ben4"]
"""Its client merges equal neighbours unless they are told apart."""


@pytest.fixture(scope="module", autouse=True)
def playing(our_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playing]:
    """The stock file client, playing to our transcriber from the first test here on: it waits 15 s at its end."""
    folder, clips = tmp_path_factory.mktemp("file-client"), ("ewan7", "ewan7", "ben4")
    audio = write(folder / "meeting.wav", speech(clips, 0.8))
    command = [str(CHILDREN / "stock_client.py"), "file", str(our_port), str(audio), "en", "result.json"]
    with child(*command, cwd=folder) as process:
        yield Playing(process, folder, clips)


async def listen(
    form: str, port: int, audio: Path, language: str = "auto", **environment: str
) -> tuple[dict[str, Any], str]:
    """Runs a stock client to its end; what it heard and what it printed."""
    folder = audio.parent / f"{form}-{language}"
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILDREN / "stock_client.py"), form, str(port), str(audio), language, "result.json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder,
        env=stock_environment() | environment,
    )  # fmt: skip
    printed = (await process.communicate())[0].decode()
    assert process.returncode == 0, printed
    return json.loads((folder / "result.json").read_text()), printed


def texts(segments: list[dict[str, Any]]) -> list[str]:
    """One line each."""
    return [segment["text"].strip() for segment in segments]


async def test_the_streaming_form_commits_every_sentence(our_port: int, tmp_path: Path) -> None:
    """Each once, after partials of it; the last after END_OF_AUDIO, before the close, with no silence after it."""
    truth = said(CLIPS)
    streamed, _ = await listen("stream", our_port, write(tmp_path / "meeting.wav", speech(CLIPS, 0.8)))
    committed = [(at, text) for kind, at, text in streamed["heard"] if kind == "committed"]
    assert wer(" ".join(truth), " ".join(text for _, text in committed)) <= 0.05
    assert len(committed) == len(CLIPS)
    assert texts(streamed["transcript"]) == [text for _, text in committed]
    kinds = [kind for kind, *_ in streamed["heard"] if kind != "error"]  # its library calls a close of code 1000 one
    assert (kinds[0], kinds[-1]) == ("started", "closed")
    before = 0.0
    for at, text in committed:
        assert (partials := [t for kind, when, t in streamed["heard"] if kind == "partial" and before < when <= at])
        assert partials[-1] == text
        before = at
    assert committed[-1][0] >= streamed["ended"] - 0.1
    assert streamed["closed"] - streamed["ended"] < 5


async def test_a_stock_client_that_is_refused_ends_and_says_why(tmp_path: Path) -> None:
    """It prints the reason and does not wait for ever."""
    audio = write(tmp_path / "meeting.wav", speech(["ewan7"], 0))
    async with serving() as running:
        result, printed = await listen("file", int(running.url.rpartition(":")[2]), audio, "klingon")
        assert result["text"] == ""
        assert "language" in printed
    async with serving(max_clients=0) as running:
        result, printed = await listen("file", int(running.url.rpartition(":")[2]), audio, "en")
        assert result["text"] == ""
        assert "Server is full. Estimated wait time 1 minutes." in printed


async def test_a_stock_client_has_a_key_with_four_lines_more(tmp_path: Path) -> None:
    """Those of docs/transcriber.md; without them it is not let in and says so."""
    audio = write(tmp_path / "meeting.wav", np.concatenate([tone("alpha"), tone("bravo"), silence(1)]))
    async with serving(key="k3y") as running:
        port = int(running.url.rpartition(":")[2])
        result, _ = await listen("file", port, audio, "en", KEY="k3y")
        assert result["text"].strip() == "alpha bravo"
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILDREN / "stock_client.py"), "file", str(port), str(audio), "en", "result.json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path, env=stock_environment(),
        )  # fmt: skip
        assert process.stdout
        printed = b""
        async with asyncio.timeout(15):
            while b"401" not in printed:
                printed += await process.stdout.readline()
        process.kill()
        await process.communicate()


def test_the_file_form_returns_every_word_and_writes_subtitles(playing: Playing) -> None:
    """Text, segments, words, callbacks and subtitles agree, though the file ends with the last word."""
    printed = playing.process.communicate(timeout=60)[0]
    assert playing.process.returncode == 0, printed
    played = json.loads((playing.folder / "result.json").read_text())
    truth = said(playing.clips)
    assert wer(" ".join(truth), played["text"]) <= 0.05
    assert len(played["transcript"]) == len(truth)
    assert all(segment["completed"] for segment in played["transcript"])
    for segment in played["transcript"]:
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]
    assert any(not segments[-1]["completed"] for _, segments in played["calls"])
    assert played["calls"][-1][0] == " ".join(texts(played["transcript"]))
    blocks = [block.splitlines() for block in (playing.folder / "output.srt").read_text().strip().split("\n\n")]
    assert [number for number, *_ in blocks] == [str(n + 1) for n in range(len(truth))]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times) for _, times, _ in blocks)
    assert [text.strip() for *_, text in blocks] == texts(played["transcript"])
