"""The bot's transcription against a scripted transcriber on real sockets: waiting, losses, words, one mix."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.core.requests import SpeechSettings
from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import EXTENSIONS
from rehearsal.clips import load_clip
from tests.support.ears import Ears
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


def clip(name: str, before: float = 0.0) -> NDArray[np.int16]:
    """A clip of real speech at 16 kHz, with room tone before and after it."""
    quiet = np.full(SAMPLE_RATE, 3, np.int16)
    return np.concatenate([quiet[: round(before * SAMPLE_RATE)], load_clip(name, Path()).pcm[::3], quiet])


async def test_who_waits_for_a_stream_is_sent_later_and_the_wait_is_reported() -> None:
    """One lane, three at once, and a transcriber that does not answer yet: all arrives, in order, and it is said."""
    server = ScriptedTranscriber(answers=False)
    async with scripted_transcriber(server):
        ears = Ears(server.url, lanesMax=1)
        tracks = {"ana": clip("ana1"), "ben": clip("ben2", 0.3), "ewan": clip("ewan5", 0.6)}
        await ears.hear(tracks)
        while not ears.reports:
            await asyncio.sleep(0.1)
            ears.transcription.tick(ears.clock())
        [report] = ears.reports
        assert (report.subject, report.healthy) == ("lanes", False)
        assert "2 utterances wait" in report.detail
        assert ears.transcription.lanes() == (1, 2, 0.0)
        server.answers = True
        await server.cut()  # it is asked again for what it did not answer
        assert await ears.finish(20) == 0.0
        assert [segment.speaker for segment in ears.published if segment.completed] == ["ana", "ben", "ewan"]
        assert server.most_open == 1
        assert ears.reports[-1].healthy
        ears.check_ids()


async def test_a_language_that_the_transcriber_does_not_know_costs_no_words() -> None:
    """It refuses it: the bot goes on as before and says so; a language that it knows ends the trouble."""
    server = ScriptedTranscriber(languages=frozenset({"en", "de"}))
    async with scripted_transcriber(server):
        ears = Ears(server.url)
        await ears.hear({"ana": clip("ana1")})
        for language in ("yue", "de"):
            ears.transcription.reconfigure(SpeechSettings(language))
            await ears.hear({"ana": clip("ana1")})
            await eventually(lambda: ears.settled and ears.transcription.lanes()[0])
        assert await ears.finish(20) == 0.0
        assert len(ears.finals("ana")) == 3
        refused, taken = ears.settled
        assert (refused.speech.language, refused.accepted) == ("en", False)
        assert "yue is not known" in refused.detail
        assert (taken.speech.language, taken.accepted) == ("de", True)
        assert [hello.handshake.language for hello in server.handshakes] == ["en", "yue", "en", "de"]


async def test_what_was_said_before_a_change_is_sent_again_as_it_was_meant() -> None:
    """The connection breaks after it: what is undecided goes on in its own language, later words in the new one."""
    server = ScriptedTranscriber(answers=False)
    async with scripted_transcriber(server):
        ears = Ears(server.url)
        await ears.hear({"ana": clip("ana1")}, speed=8.0)
        ears.transcription.reconfigure(SpeechSettings("de"))
        await ears.hear({"ben": clip("ben2")}, speed=8.0)
        await eventually(lambda: len(server.handshakes) == 2)
        server.answers = True
        await server.cut()
        await eventually(lambda: ears.finals("ana") and ears.finals("ben"))
        assert await ears.finish(20) == 0.0
    assert sorted(str(opened.handshake.language) for opened in server.handshakes[2:4]) == ["de", "en"]


async def test_however_often_the_language_changes_connections_do_not_pile_up() -> None:
    """A change with each sentence and no answer to any: what waits is sent in order when there are answers again."""
    server, languages = ScriptedTranscriber(answers=False), ["de", "en"] * 5
    async with scripted_transcriber(server):
        ears = Ears(server.url, lanesMax=2)
        for language in languages:
            ears.transcription.reconfigure(SpeechSettings(language))
            await ears.hear({"ana": clip("ana1"), "ben": clip("ben2", 0.3)}, speed=8.0)
            assert ears.transcription.lanes()[0] <= 4
        server.answers = True
        await server.cut()
        await eventually(lambda: len(ears.finals("ana") + ears.finals("ben")) == 2 * len(languages), 60)
        assert await ears.finish(20) == 0.0
        assert server.most_open <= 4
    for who in ("ana", "ben"):
        starts = [final.start for final in ears.finals(who)]
        assert starts == sorted(starts)
    ears.check_ids()


async def test_what_falls_out_is_one_gap_with_its_length() -> None:
    """A hundred seconds of speech while nobody answers: what is over 60 s is lost, said once, and the rest arrives."""
    server = ScriptedTranscriber(answers=False)
    async with scripted_transcriber(server):
        ears = Ears(server.url)
        await ears.hear({"ana": np.tile(clip("ana1"), 40)}, speed=1000.0)
        ears.transcription.close_track("ana", ears.clock())
        assert ears.reports == []
        server.answers = True
        await server.cut()
        await eventually(lambda: ears.finals("ana"), 40)
        assert await ears.finish(40) == 0.0
        [gap] = ears.reports
        assert (gap.subject, gap.healthy) == ("gap:ana", False)
        lost = float(gap.detail.split(" ")[0])
        told = sum(int(final.text.split(" ")[0]) for final in ears.finals("ana")) / SAMPLE_RATE
        assert told == pytest.approx(60, abs=0.1)
        assert 15 < lost < 50
        assert ears.transcription.lanes()[2] == pytest.approx(lost, abs=0.1)
        ears.check_ids()


async def test_partials_without_a_final_are_taken_back_at_the_end() -> None:
    """The meeting is over and the transcriber has not answered: watchers do not keep a sentence that never was."""
    server = ScriptedTranscriber(answers=False, guesses=True)
    async with scripted_transcriber(server):
        ears = Ears(server.url)
        await ears.hear({"ana": clip("ana1")})
        await eventually(lambda: ears.published)
        assert await ears.finish(0.1) > 1
        assert [segment.text for segment in ears.published[-2:]][1] == ""
        assert sum(not segment.text for segment in ears.published) == 1
        ears.check_ids()


@pytest.mark.parametrize("words", [False, True])
async def test_words_are_asked_for_only_where_they_are_wanted(words: bool) -> None:
    """`audio.words` is in the handshake, and the words are in the segments, in meeting time, within their segment."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server):
        ears = Ears(server.url, words=words)
        await ears.hear({"ana": clip("ana1", 0.5)})
        assert await ears.finish(20) == 0.0
        assert [opened.handshake.word_timestamps for opened in server.handshakes] == [words]
        [final] = ears.finals("ana")
        assert (final.words is not None) == words
        for word in final.as_json().get("words", ()):
            assert final.start <= word["start"] <= word["end"] <= final.end


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
async def test_mixed_is_one_stream_whoever_speaks(offered: frozenset[str]) -> None:
    """Of what two say at once the speaker is unknown, never a guess."""
    server = ScriptedTranscriber(offered=offered)
    async with scripted_transcriber(server):
        ears = Ears(server.url, mode="mixed")
        await ears.hear({"ana": clip("ana1"), "ben": clip("ben2", 0.3)})
        await ears.finish(3)
        assert server.connections == 1
        if offered:
            assert {segment.speaker for segment in ears.published} == {"unknown"}


async def test_in_per_participant_mode_everybody_has_a_stream() -> None:
    """As many as speak, whatever the bound of lanes is."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server):
        ears = Ears(server.url, mode="perParticipant", lanesMax=1)
        await ears.hear({"ana": clip("ana1"), "ben": clip("ben2")})
        assert await ears.finish(20) == 0.0
        assert ears.lanes == server.most_open == 2
