"""Makes the bundled clips of the rehearsal room: `python tools/make_clips.py [--check MODEL_DIR]`.

The sentences were written down first, from the grammar of the demo model's training; every one is held out from that
training (md5 of the text divisible by 10, at least three words). Voices and sentences are not chosen by how well a
model reads them; `--check` measures that afterwards. Needs `flite`; `--check` needs the transcriber's requirements.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from rehearsal.clips import speech_bounds

CLIPS = Path(__file__).parents[1] / "rehearsal/clips"
SENTENCES = {
    ("ana", "slt"): [
        "what is the status of the contract",
        "we need to check our budget now",
        "can we test the final feature this morning",
        "the next meeting is this afternoon",
        "the deadline is by the end of may",
        "i have a question about our design",
        "we would like to talk about our survey",
        "laura will send the email tomorrow",
    ],
    ("ben", "rms"): [
        "there is a problem with the final survey",
        "i am working on the server from anna",
        "sarah will send the email on wednesday",
        "we need to finish this update",
        "if this feature is ready we can start",
        "could you please review this document",
        "i will call you after the meeting",
        "the first topic is this release",
    ],
    ("ewan", "awb"): [
        "we are waiting for your application",
        "the deadline for the interview is tomorrow",
        "we decided to fix our server",
        "the next topic is the design",
        "he said the release is ready",
        "the budget is one million dollars",
        "when will the review be ready",
        "let us meet on wednesday morning",
    ],
}


def held_out(text: str) -> bool:
    """Whether the demo model's training left the sentence out."""
    return len(text.split()) >= 3 and int(hashlib.md5(text.encode()).hexdigest(), 16) % 10 == 0


def make() -> list[dict[str, Any]]:
    """Speaks every sentence into a WAV file; returns the manifest's entries."""
    entries = []
    for (who, voice), sentences in SENTENCES.items():
        for number, text in enumerate(sentences, 1):
            if not held_out(text):
                raise SystemExit(f"not held out from the demo model's training: {text!r}")
            path = CLIPS / f"{who}{number}.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
            with wave.open(str(path), "rb") as audio:
                rate, pcm = audio.getframerate(), np.frombuffer(audio.readframes(audio.getnframes()), "<i2")
            if rate != 16_000:
                raise SystemExit(f"{path}: {rate} Hz instead of 16 kHz")
            start, end = speech_bounds(pcm, rate)
            entries.append(
                {"name": path.stem, "text": text, "voice": voice}
                | {"start": round(start / rate, 3), "end": round(end / rate, 3)}
            )
    return entries


def check(model_directory: str) -> None:
    """Prints what the model makes of every clip, and the word error rate per voice and over all."""
    import jiwer
    from faster_whisper import WhisperModel

    model = WhisperModel(model_directory, device="cpu", compute_type="int8", cpu_threads=2)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for clip in json.loads((CLIPS / "manifest.json").read_text())["clips"]:
        segments, _ = model.transcribe(
            str(CLIPS / f"{clip['name']}.wav"), language="en", temperature=0.0, condition_on_previous_text=False
        )
        said = " ".join(segment.text.strip() for segment in segments)
        pairs.setdefault(clip["voice"], []).append((clip["text"], said))
        if said != clip["text"]:
            print(f"{clip['name']}: {clip['text']!r} read as {said!r}")
    pairs["all"] = [row for rows in pairs.values() for row in rows]
    for voice, rows in pairs.items():
        rate = jiwer.wer([truth for truth, _ in rows], [said for _, said in rows])
        print(f"{voice}: WER {100 * rate:.1f} % over {len(rows)} clips")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", metavar="MODEL_DIR", help="only measure the clips with this faster-whisper model")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
    else:
        CLIPS.mkdir(exist_ok=True)
        rows = ",\n  ".join(json.dumps(entry) for entry in make())
        (CLIPS / "manifest.json").write_text(f'{{"clips": [\n  {rows}\n]}}\n')
