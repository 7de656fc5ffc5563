"""What the model makes of every sentence when it has all the time: the most that streaming can reach."""

from __future__ import annotations

import numpy as np

from bench.transcriber.audio import noise, sentences
from bench.transcriber.score import Score, Seg, Shown, score
from transcriber.engine.models import DEMO_FOLDER


def offline() -> Score:
    """faster-whisper's own `transcribe` with its full window and beam 5, one sentence with silence around at a time."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(DEMO_FOLDER), device="cpu", compute_type="int8", cpu_threads=1)
    total = Score()
    for clip, spoken in sentences().values():
        heard = np.concatenate([noise(1, 0.2), clip, noise(2, 0.3)])
        segments, _ = model.transcribe(heard, language="en", beam_size=5, temperature=0.0)
        text = " ".join(segment.text for segment in segments)
        total.add(score([spoken], [Shown(spoken.end, (Seg(spoken.start, spoken.end, text, True),))]))
    return total
