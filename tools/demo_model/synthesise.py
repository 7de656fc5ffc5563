"""Stage 1: clean utterances with word times.   python synthesise.py [SHARE] [SEED]

SHARE scales the amount (1.0: 36 000 utterances, some minutes on two cores). Writes work/clean-SEED.pkl; run it with
several seeds at once to use several cores. festival is left out where it is not installed.
"""

from __future__ import annotations

import pickle
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grammar import is_held_out, training_sentence
from voices import Espeak, Flite, Word, festival

WORK = Path("work")
ACCENTS = ["gmw/en-US"] * 4 + ["gmw/en"] * 3 + [
    "gmw/en-GB-scotland", "gmw/en-GB-x-rp", "gmw/en-029", "gmw/en-US-nyc", "gmw/en-GB-x-gbclan", "gmw/en-GB-x-gbcwmd",
]  # fmt: skip
VARIANTS = (
    "- - - m1 m2 m3 m4 m5 m7 m8 f1 f2 f3 f4 Annie Andy steph klatt klatt2 klatt4 linda Alex Michael belinda Mr david "
    "travis shelby"
).split()
"""Never here, for tests: f5, m6, edward, Andrea."""
ESPEAK, FLITE, FESTIVAL = 15_400, {"kal16": 2500, "awb": 4000, "rms": 4500, "slt": 4500}, {"kal": 2500, "slt": 3000}
BATCH = 250


@dataclass(frozen=True)
class Utterance:
    """int16 at 16 kHz, peak 0.9, and its words in seconds."""

    voice: str
    samples: np.ndarray
    words: list[Word]


def sentence(rng: random.Random) -> str:
    """Something to train on."""
    while is_held_out(text := training_sentence(rng)):
        pass
    return text


def normal(voice: str, text: str, spoken: tuple[np.ndarray, list[Word]] | None) -> Utterance | None:
    """None where the synthesiser failed or counted other words than we do."""
    if spoken is None or len(spoken[1]) != len(text.split()) or (peak := np.abs(spoken[0]).max()) < 1e-3:
        return None
    words = [(word, start, end) for word, (_, start, end) in zip(text.split(), spoken[1], strict=True)]
    return Utterance(voice, (spoken[0] / peak * 0.9 * 32767).astype(np.int16), words)


def main() -> None:
    """Speaks everything."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    rng, began, made = random.Random(100 + seed), time.time(), list[Utterance | None]()
    espeak, flite = Espeak(), Flite(str(WORK / "libflitewords.so"))
    for _ in range(int(ESPEAK * share)):
        variant, text = rng.choice(VARIANTS), sentence(rng)
        voice = rng.choice(ACCENTS) + ("" if variant == "-" else f"+{variant}")
        style = {"rate": rng.randint(125, 215), "pitch": rng.randint(25, 75), "spread": rng.randint(20, 80)}
        try:
            made.append(normal(f"espeak {voice}", text, espeak(voice, text, **style)))
        except ValueError:  # an accent that this espeak-ng does not have
            continue
    for voice, count in FLITE.items():
        for _ in range(int(count * share)):
            text = sentence(rng)
            spoken = flite(voice, text, rng.uniform(0.82, 1.2), rng.uniform(0.88, 1.14))
            made.append(normal(f"flite {voice}", text, spoken))
    for voice, count in FESTIVAL.items() if shutil.which("festival") else ():
        for first in range(0, int(count * share), BATCH):
            jobs = [
                (sentence(rng), round(rng.uniform(0.85, 1.2), 2)) for _ in range(min(BATCH, int(count * share) - first))
            ]
            results = festival(voice, jobs, WORK / f"festival-{seed}")
            made += [normal(f"festival {voice}", text, spoken) for (text, _), spoken in zip(jobs, results, strict=True)]
    utterances = [utterance for utterance in made if utterance]
    rng.shuffle(utterances)
    rows = [(u.voice, u.samples, u.words) for u in utterances]
    (WORK / f"clean-{seed}.pkl").write_bytes(pickle.dumps(rows, protocol=4))
    hours = sum(len(u.samples) for u in utterances) / 16_000 / 3600
    print(
        f"{len(utterances)} utterances, {hours:.2f} h, {len(made) - len(utterances)} failed, {time.time() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
