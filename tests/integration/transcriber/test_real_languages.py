"""Languages and word times on real Whisper weights (bench/languages.md has real speech in six languages)."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper import WhisperModel

from bench.languages import Piece, Streams, word_row
from common.audio.silero import SileroModel
from common.whisperlive.protocol import Handshake
from tests.support.audio.recordings import clips
from tests.support.real_whisper import FOLDER, MARKS, base

pytestmark = MARKS


@pytest.fixture(scope="module")
def runs() -> Streams:
    """With the real engine and detector."""
    return Streams(base(), SileroModel())


SAID = [Piece("en", samples, text, text) for text, samples in clips()[:4]]


def test_words_begin_where_an_alignment_of_the_same_text_has_them(runs: Streams) -> None:
    """Half of them within 20 ms, 95 % within 0.2 s; in order, inside the segment, and none without length."""
    row = word_row("en", SAID, runs, WhisperModel(FOLDER, device="cpu", compute_type="int8", cpu_threads=1))
    apart = np.abs(row["apart_ms"])
    assert (row["untimed"], row["faults"], len(apart) > 20) == (0, 0, True)
    assert np.median(apart) <= 20
    assert np.percentile(apart, 95) <= 200


@pytest.mark.parametrize("granted", [frozenset[str](), frozenset({"segment_language"})], ids=["stock", "ours"])
def test_english_is_found_from_the_first_utterance(runs: Streams, granted: frozenset[str]) -> None:
    """And costs no words."""
    row = runs.score(SAID, Handshake("u"), granted)
    assert (row["wrong"], row["changed"]) == (0, 0)
    assert sum(row["errors"][:3]) <= 1
