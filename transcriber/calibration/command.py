"""The calibration as a command: finds the model and the speech, measures, says what it found, keeps it."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SileroModel
from transcriber.calibration import report
from transcriber.calibration.choice import Choice, Comparison, Score, UnknownSpeechError
from transcriber.calibration.measuring import Measuring, planned
from transcriber.calibration.passes import LivePass, live_passes
from transcriber.calibration.speech import MIN_WORDS, Clip, SpeechError, ample, bundled, monologues, read_folder
from transcriber.config import Settings
from transcriber.core.windows import Window
from transcriber.core.words import words
from transcriber.engine import window_sizes
from transcriber.engine.faster_whisper import FasterWhisper
from transcriber.engine.features import BUCKET_FRAMES, MAX_WINDOW_SAMPLES
from transcriber.engine.models import resolve
from transcriber.engine.window_sizes import (
    FULL_WINDOW_FRAMES,
    FULL_WINDOWS,
    WINDOW_SIZES_FILE,
    WindowSizes,
    file_name,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do beside measuring the model of the settings."""

    speech: Path | None = None
    """A folder of recordings with transcripts; None: those that ship with the package."""
    language: str | None = None
    """Spoken in that folder; None: the model finds it."""
    output: Path | None = None
    """Where the result goes in place of the model's folder or the cache."""
    dry_run: bool = False
    """It goes nowhere."""


def run(settings: Settings, asked: Asked) -> None:
    """Measures and keeps the result. Blocks for minutes.

    Raises:
        ModelError: No usable model, or the result could not be kept.
        SpeechError: The speech will not do for it.
    """
    said, progress = (Console(stderr=err, markup=False, emoji=False, highlight=False) for err in (False, True))
    folder = resolve(settings.model)
    engine = FasterWhisper(
        folder, settings.model, device=settings.device, device_index=settings.device_index,
        compute_type=settings.compute_type, threads=settings.threads, sizes=FULL_WINDOWS,
    )  # fmt: skip
    known = window_sizes.sizes_for(folder, engine.device)
    path = None if asked.dry_run else window_sizes.prepare(asked.output or window_sizes.place(folder, engine.device))
    alone = _clips(asked, engine)
    clips = alone + monologues(alone)
    detector = SileroModel()
    passes = live_passes(clips, detector.batched)
    calls = planned(passes)
    work = sum(map(_weight, calls))
    minutes = max(1, round(_full_call_s(engine, passes) / _weight(FULL_WINDOW_FRAMES) * work / 60))
    seconds = round(sum(len(clip.samples) for clip in clips) / SAMPLE_RATE)
    progress.print(
        f"{seconds} s of speech, {len(passes)} passes, {len(calls)} calls of the model {settings.model} on "
        f"{engine.device}: about {minutes} min.",
        soft_wrap=True,
    )
    clock, unit = (time.process_time, "CPU ms") if engine.device == "cpu" else (time.perf_counter, "ms")
    with Progress(TextColumn("measuring"), BarColumn(), TimeRemainingColumn(), console=progress, transient=True) as bar:
        task = bar.add_task("", total=work)
        measuring = Measuring(engine, passes, clock, lambda frames: bar.advance(task, _weight(frames)))
        choice, paddings = _compare(settings.model, clips, ample(alone), measuring)
    said.print(report.table(choice, paddings, unit))
    said.print(report.sentence(choice), soft_wrap=True)
    if path:
        sizes = WindowSizes(choice.partial, choice.careful, choice.margin, choice.padding, known.packed)
        made_by = {"model": settings.model, "device": engine.device, "compute_type": engine.compute_type}
        window_sizes.write(path, sizes, made_by | {"speech_s": seconds} | report.measured(choice))
    said.print(_written(path, folder, asked, engine.device), soft_wrap=True)


def _clips(asked: Asked, engine: FasterWhisper) -> list[Clip]:
    """What the user has, or what ships. Raises SpeechError."""
    languages = engine.languages
    if asked.language and asked.language not in languages:
        raise SpeechError(f"--language {asked.language!a}: the model knows {', '.join(sorted(languages))}.")
    clips = read_folder(asked.speech, asked.language) if asked.speech else bundled(languages)
    clips = [clip if clip.language else replace(clip, language=_found(clip, engine)) for clip in clips]
    count = sum(len(words(clip.text)) for clip in clips)
    if count < MIN_WORDS:
        raise SpeechError(f"{count} words of speech tell nothing: it takes {MIN_WORDS}, better 500.")
    return clips


def _found(clip: Clip, engine: FasterWhisper) -> str | None:
    """The language of a clip, by its beginning."""
    [heard] = engine.transcribe([Window(clip.samples[:MAX_WINDOW_SAMPLES])])
    return heard.language


def _full_call_s(engine: FasterWhisper, passes: Sequence[LivePass]) -> float:
    """Seconds of a careful pass with the full window. Raises SpeechError."""
    window = next((each.window for each in passes if each.window.careful), None)
    if window is None:
        raise SpeechError("No speech was found in these recordings.")
    engine.transcribe([window])
    started = time.perf_counter()
    engine.transcribe([window])
    return time.perf_counter() - started


def _weight(frames: int) -> int:
    """What a call costs, about, in units of a frame: text takes as long as 4 s of audio."""
    return frames + 400


def _compare(
    model: str, clips: Sequence[Clip], judged: Container[str | None], measuring: Measuring
) -> tuple[Choice, tuple[Score, ...]]:  # fmt: skip
    """Measures and chooses; the second are both paddings in the full window. Raises SpeechError."""
    spoken = [clip.language if clip.language in judged else None for clip in clips]
    comparison = Comparison([words(clip.text) for clip in clips], spoken, BUCKET_FRAMES)
    try:
        padding, scores = comparison.padding(measuring.full_windows())
    except UnknownSpeechError as error:
        raise SpeechError(
            f"{model} gets {error.share:.0%} of the words of this speech wrong in full windows: it does not know such "
            "speech, so nothing can be measured with it. Name a folder of recordings of speech that it knows, with "
            "transcripts: --speech FOLDER."
        ) from error
    return comparison.choose(measuring.all_windows(padding), padding), scores


def _written(path: Path | None, folder: Path, asked: Asked, device: str) -> str:
    """Where the result is now, and what follows."""
    if not path:
        return "Nothing was written (--dry-run)."
    if asked.output:
        return f"Written to {path}: it counts as {file_name(WINDOW_SIZES_FILE, device)} in the model's folder."
    where = "" if path.parent == folder else f" ({folder} is not writable): it counts for whoever has this cache"
    return f"Written to {path}{where}. Transcribers that are started on {device} from now on use it."
