"""The whole command `calibrate`: real models, real speech, a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.typing import EventDict

from rehearsal.clips import manifest
from tests.support import real_whisper
from tests.support.random_whisper import random_whisper
from tests.support.source import ROOT
from transcriber.calibration.speech import BUNDLED_FOLDER
from transcriber.config import Settings
from transcriber.engine.faster_whisper import load
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES, parse

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(300)]
CLIPS_USED = 16
"""Of the rehearsal: 112 words."""


def calibrate(*options: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    command = [sys.executable, "-m", "transcriber", *before, "calibrate", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def demo_speech(tmp_path: Path) -> Path:
    """A folder of recordings that the demo model knows, with transcripts."""
    (folder := tmp_path / "speech").mkdir()
    for name, clip in list(manifest().items())[:CLIPS_USED]:
        shutil.copy(ROOT / "rehearsal" / "clips" / f"{name}.wav", folder)
        (folder / f"{name}.txt").write_text(clip["text"], encoding="utf-8")
    return folder


def test_the_demo_model_is_measured_as_it_was_trained(demo_speech: Path, tmp_path: Path) -> None:
    """6 s windows padded with zeros; a sentence of a recording at a time, as before; the table says why."""
    ran = calibrate("--model", "demo", "--speech", str(demo_speech), "--output", str(output := tmp_path / "sizes.json"))
    assert ran.returncode == 0, ran.stderr
    content = json.loads(output.read_text(encoding="utf-8"))
    sizes = parse(content)
    assert (sizes.careful, sizes.packed, sizes.padding) == ({"en": 600}, 800, 0.0)
    assert content["measured"]["finals"]["en"]["errors_full_window"] <= 4
    assert "about" in ran.stderr
    assert "←" in ran.stdout
    assert f"Written to {output}" in ran.stdout


def test_speech_that_a_model_does_not_know_says_nothing_about_it() -> None:
    """The demo model knows 300 words of synthetic voices: real ones are refused, in a sentence."""
    ran = calibrate("--model", "demo", "--dry-run")
    assert ran.returncode == 2
    assert "demo gets" in ran.stderr
    assert "--speech FOLDER" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("options", "before", "code", "problem"),
    [
        (("--model", "demo"), ("--threads", "2"), 2, "--threads stands before calibrate"),
        (("--model", "/nowhere"), (), 3, "There is no folder /nowhere"),
        (("--model", "demo", "--language", "de"), (), 2, "--language 'de': the model knows en."),
        (("--model", "demo", "--speech", str(BUNDLED_FOLDER)), (), 2, "holds no speech with transcripts"),
        (("--model", "demo", "--speech", str(BUNDLED_FOLDER / "ru")), (), 2, "9 words of speech tell nothing"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(
    options: tuple[str, ...], before: tuple[str, ...], code: int, problem: str
) -> None:
    """In a sentence, with the option."""
    ran = calibrate(*options, before=before)
    assert ran.returncode == code
    assert problem in " ".join(ran.stderr.replace("│", " ").split())
    assert "Traceback" not in ran.stderr


def test_a_model_that_nobody_has_measured_is_named_with_the_command(tmp_path: Path, logged: list[EventDict]) -> None:
    """At the start of a transcriber: measuring takes minutes, so it is not done then."""
    folder = str(random_whisper(tmp_path))
    load(Settings(model=folder, device="cpu"))
    [warning] = [event for event in logged if event["event"] == "model.not_calibrated"]
    assert f"calibrate --model {folder}" in warning["remedy"]


@real_whisper.needs_weights
@pytest.mark.timeout(1200)
@pytest.mark.cores(0.8)
def test_whisper_base_is_as_right_in_shorter_windows_with_a_margin(tmp_path: Path) -> None:
    """Padded with silence, as it was trained."""
    (sentences := tmp_path / "sentences").mkdir()
    for path in (BUNDLED_FOLDER / "en").iterdir():
        if not path.name.startswith("cv_"):  # one word each
            shutil.copy(path, sentences)
    speech = ("--speech", str(sentences), "--language", "en")
    ran = calibrate("--model", real_whisper.FOLDER, *speech, "--output", str(output := tmp_path / "sizes.json"))
    assert ran.returncode == 0, ran.stderr
    content = json.loads(output.read_text(encoding="utf-8"))
    sizes = parse(content)
    assert sizes.padding is None
    assert sizes.partial < FULL_WINDOW_FRAMES == sizes.finals("de")
    # Of finals it depends on the processor: without AVX-512, 6 of 216 words are wrong in full windows, 8 in the next.
    assert sizes.finals("en") <= FULL_WINDOW_FRAMES
    finals = content["measured"]["finals"]["en"]
    assert finals["errors_full_window"] <= 0.1 * finals["words"]
