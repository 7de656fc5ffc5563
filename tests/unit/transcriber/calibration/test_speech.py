"""Speech to calibrate with: what ships, folders of users, and what is wrong with them."""

from __future__ import annotations

import functools
import wave
from pathlib import Path

import numpy as np
import pytest

from transcriber.calibration.speech import BUNDLED_FOLDER, Clip, SpeechError, ample, bundled, monologues, read_folder
from transcriber.core.words import words

SECOND = np.ones(16_000, np.int16)


def write(path: Path, seconds: float = 1.0) -> None:
    """A recording of no words at 8 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(round(seconds * 16_000)))


@functools.cache
def shipped() -> list[Clip]:
    """For a model of all languages that ship, and one more."""
    return bundled(frozenset({"en", "de", "es", "ja", "ru", "zh"}))


def test_what_ships_is_in_the_languages_of_the_model() -> None:
    """Enough for an English one, and more for others; each recording is named in SOURCES.md with its licence."""
    everything = shipped()
    assert sum(len(words(clip.text)) for clip in everything if clip.language == "en") >= 100
    assert {clip.language for clip in everything} == {"en", "de", "es", "ja", "ru"}
    assert all(1 < len(clip.samples) / 16_000 < 60 for clip in everything)
    sources = (BUNDLED_FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    for clip in everything:
        name = f"`{clip.language}/{clip.name.partition('_')[0]}"
        rows = [row for row in sources.splitlines() if name in row]
        assert rows, name
        assert all("public domain" in row or "CC0" in row for row in rows)


def test_a_language_in_which_little_is_said_is_not_measured() -> None:
    """Of what ships only English tells something about finals."""
    assert ample(shipped()) == {"en"}


def test_what_ships_is_small() -> None:
    """It is in every installation."""
    assert sum(path.stat().st_size for path in BUNDLED_FOLDER.rglob("*.*")) < 1_000_000


def test_a_folder_of_recordings_with_transcripts_is_read(tmp_path: Path) -> None:
    """At any sample rate; what has no transcript or no words is left out."""
    for name, text in (("a", " So it is.\n"), ("b", "…")):
        write(tmp_path / f"{name}.wav")
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    write(tmp_path / "c.wav")
    (tmp_path / "d.txt").write_text("no recording", encoding="utf-8")
    [clip] = read_folder(tmp_path, "en")
    assert (clip.name, clip.language, clip.text, len(clip.samples)) == ("a", "en", "So it is.", 16_000)


def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """Not there, empty, a file that is no sound, a text that is none."""
    with pytest.raises(SpeechError, match="nowhere cannot be read: No such file"):
        read_folder(tmp_path / "nowhere", None)
    with pytest.raises(SpeechError, match="holds no speech with transcripts"):
        read_folder(tmp_path, None)
    (tmp_path / "a.txt").write_text("so it is", encoding="utf-8")
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(SpeechError, match=r"a\.wav: The file cannot be read"):
        read_folder(tmp_path, None)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SpeechError, match="not UTF-8"):
        read_folder(tmp_path, None)


def test_a_monologue_has_the_short_clips_of_its_language() -> None:
    """Without the single words and the long ones, and only where there are two to join."""
    clips = [
        Clip("a", "en", "so it is", SECOND), Clip("b", "de", "so ist es", SECOND), Clip("c", "en", "yes", SECOND),
        Clip("d", "en", "it goes on", np.tile(SECOND, 14)), Clip("e", "en", "is it so", SECOND),
    ]  # fmt: skip
    [joined] = monologues(clips)
    assert (joined.language, joined.text) == ("en", "so it is is it so")
    assert len(joined.samples) == 2 * (16_000 + 1600)
