"""Speech to calibrate with: recordings with their transcripts, those that ship with the package or the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.problems import reason
from transcriber.audio_files import AudioFileError, Recording
from transcriber.core.policy import MAX_UTTERANCE_SAMPLES
from transcriber.core.windows import Samples
from transcriber.core.words import words

BUNDLED_FOLDER = Path(__file__).parent / "recordings"
"""A folder for each language; SOURCES.md says whose recordings they are."""
MAX_CLIP_S = 600.0
CLIP_GAP_SAMPLES = 1600
"""Between the clips of a monologue: too short to end an utterance."""
MIN_MONOLOGUE_CLIP_WORDS = 2
MIN_WORDS = 100
"""Of transcripts: fewer tell nothing, and of a language nothing about finals in it."""


class SpeechError(Exception):
    """Speech that cannot be used: names the file and says what is wanted."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording."""

    name: str
    language: str | None
    """None: the model finds it."""
    text: str
    """All that is said in it."""
    samples: Samples
    """16 kHz mono, shape (n,)."""


def bundled(languages: frozenset[str]) -> list[Clip]:
    """What ships with the package in the languages that a model knows."""
    folders = [folder for folder in sorted(BUNDLED_FOLDER.iterdir()) if folder.is_dir() and folder.name in languages]
    return [clip for folder in folders for clip in read_folder(folder, folder.name)]


def read_folder(folder: Path, language: str | None) -> list[Clip]:
    """Each NAME.txt of a folder with the audio file NAME.* beside it. Raises SpeechError."""
    try:
        names = sorted(folder.iterdir())
        texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in names if path.suffix == ".txt"}
        audio = {path.stem: path for path in names if path.stem in texts and path.suffix != ".txt"}
        clips = [
            Clip(name, language, texts[name], _samples(path)) for name, path in audio.items() if words(texts[name])
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(f"The speech in {folder} cannot be read: {reason(error)}.") from error
    if not clips:
        raise SpeechError(
            f"{folder} holds no speech with transcripts: it needs recordings, NAME.wav (or .flac, .ogg, .mp3, …), and "
            "beside each NAME.txt, what is said in it."
        )
    return clips


def ample(clips: Sequence[Clip]) -> set[str | None]:
    """The languages in which enough is said."""
    count = Counter[str | None]()
    for clip in clips:
        count[clip.language] += len(words(clip.text))
    return {language for language, total in count.items() if total >= MIN_WORDS}


def monologues(clips: Sequence[Clip]) -> list[Clip]:
    """The short clips of each language once more, one after the other without a pause that would end an utterance: so
    that there are utterances of any length, cut where nobody pauses, as when somebody talks on and on."""
    found = []
    for language in dict.fromkeys(clip.language for clip in clips):
        parts = [clip for clip in clips if clip.language == language and _joins(clip)]
        if len(parts) > 1:
            pause = np.zeros(CLIP_GAP_SAMPLES, np.int16)
            sound = np.concatenate([piece for clip in parts for piece in (clip.samples, pause)])
            found.append(Clip("monologue", language, " ".join(clip.text for clip in parts), sound))
    return found


def _joins(clip: Clip) -> bool:
    return len(clip.samples) < MAX_UTTERANCE_SAMPLES and len(words(clip.text)) >= MIN_MONOLOGUE_CLIP_WORDS


def _samples(path: Path) -> Samples:
    """Raises OSError, SpeechError."""
    pieces = []
    with path.open("rb") as file:
        recording = Recording(file, split=False, longest=MAX_CLIP_S)
        try:
            while (piece := recording.read()).shape[1]:
                pieces.append(piece[0])
        except AudioFileError as error:
            raise SpeechError(f"{path}: {error}") from error
        finally:
            recording.close()
    return np.concatenate(pieces)
