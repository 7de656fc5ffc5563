"""Synthesisers that tell when each word is spoken: flite and espeak-ng in this process, festival in batches."""

from __future__ import annotations

import ctypes as C
import subprocess
from math import gcd
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

RATE = 16_000
Word = tuple[str, float, float]
"""A word, its start and end in seconds."""
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
FESTIVAL_VOICES = {"kal": "voice_kal_diphone", "ked": "voice_ked_diphone", "slt": "voice_cmu_us_slt_arctic_hts"}


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Float32 at 16 kHz."""
    common = gcd(rate, RATE)
    return resample_poly(samples, RATE // common, rate // common).astype(np.float32)


class Flite:
    """flite through the library made from flite_words.c."""

    def __init__(self, library: str) -> None:
        self._library = C.CDLL(library)
        self._library.start()
        self._library.speak.argtypes = [C.c_int, C.c_char_p, C.c_float, C.c_float, C.c_void_p, C.c_int,
                                        C.POINTER(C.c_int), C.c_char_p, C.c_int]  # fmt: skip
        self._samples = np.zeros(RATE * 60, np.int16)
        self._times = C.create_string_buffer(65_536)

    def __call__(
        self, voice: str, text: str, stretch: float = 1.0, pitch: float = 1.0
    ) -> tuple[np.ndarray, list[Word]]:
        """Speech and words."""
        rate = C.c_int()
        count = self._library.speak(
            FLITE_VOICES.index(voice), text.encode(), stretch, pitch, self._samples.ctypes.data, len(self._samples),
            C.byref(rate), self._times, len(self._times),
        )  # fmt: skip
        lines = (line.split() for line in self._times.value.decode().splitlines())
        words = [(word, float(start), float(end)) for word, start, end in lines]
        return resample(self._samples[:count].astype(np.float32) / 32768, rate.value), words


class _EventId(C.Union):
    _fields_ = [("number", C.c_int), ("name", C.c_char_p), ("string", C.c_char * 8)]


class _Event(C.Structure):
    _fields_ = [
        ("type", C.c_int), ("unique", C.c_uint), ("text_position", C.c_int), ("length", C.c_int),
        ("audio_position", C.c_int), ("sample", C.c_int), ("user_data", C.c_void_p), ("id", _EventId),
    ]  # fmt: skip


_CALLBACK = C.CFUNCTYPE(C.c_int, C.POINTER(C.c_short), C.c_int, C.POINTER(_Event))
_SYNCHRONOUS, _WORD = 2, 1
_RATE, _PITCH, _RANGE = 1, 3, 4


class Espeak:
    """espeak-ng; voice names are file ids such as gmw/en-US+m3."""

    def __init__(self) -> None:
        self._library = C.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self._callback = _CALLBACK(self._hear)
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _hear(self, samples: object, count: int, events: object) -> int:
        if count > 0 and samples:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type:
            if events[number].type == _WORD:
                self._marks.append((events[number].text_position, events[number].audio_position / 1000))
            number += 1
        return 0

    def __call__(
        self, voice: str, text: str, rate: int = 165, pitch: int = 50, spread: int = 50
    ) -> tuple[np.ndarray, list[Word]]:
        """Speech and words. Raises ValueError for an unknown voice."""
        if voice != self._voice and self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(voice)
        self._voice = voice
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, spread)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces: list[np.ndarray] = []
        self._marks: list[tuple[int, float]] = []
        data = text.encode()
        self._library.espeak_Synth(data, C.c_size_t(len(data) + 1), 0, 1, 0, 1, None, None)
        samples = np.concatenate(self._pieces).astype(np.float32) / 32768
        end = (np.flatnonzero(np.abs(samples) > 0.003)[-1] + 1) / self._rate
        return resample(samples, self._rate), _share(text, self._marks, end)


def _share(text: str, marks: list[tuple[int, float]], end: float) -> list[Word]:
    """Word times from marks; espeak marks pairs such as "of the" once: their time is shared by length."""
    words, positions, position = text.split(), [], 0
    for word in words:
        position = text.index(word, position)
        positions.append(position)
        position += len(word)
    starts: list[float | None] = [None] * len(words)
    for text_position, seconds in marks:
        number = max(n for n in range(len(words)) if n == 0 or positions[n] <= text_position - 1)
        if starts[number] is None:
            starts[number] = seconds
    starts[0] = starts[0] or 0.0
    found, first = [], 0
    while first < len(words):
        last = first + 1
        while last < len(words) and starts[last] is None:
            last += 1
        begin, until = starts[first], starts[last] if last < len(words) else end
        letters, span = sum(len(word) + 1 for word in words[first:last]), until - begin
        for word in words[first:last]:
            length = span * (len(word) + 1) / letters
            found.append((word, begin, max(begin + length, begin + 0.02)))
            begin += length
        first = last
    return found


def festival(voice: str, jobs: list[tuple[str, float]], folder: Path) -> list[tuple[np.ndarray, list[Word]] | None]:
    """Speaks (text, stretch) jobs in one run of festival; None where it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    wave, words = f'(string-append "{folder}/" id ".wav")', "R:SylStructure.daughter1.daughter1.segment_start"
    script = [
        f"({FESTIVAL_VOICES[voice]})",
        "(define (go id text stretch) (Parameter.set 'Duration_Stretch stretch) (let ((utt (utt.synth (eval (list "
        f"'Utterance 'Text text))))) (utt.save.wave utt {wave} 'riff) (format t \"UTTERANCE %s\\n\" id) (mapcar (lambda "
        f'(w) (format t "WORD %s %f %f\\n" (item.name w) (item.feat w "{words}") (item.feat w '
        '"R:SylStructure.daughtern.daughtern.end"))) (utt.relation.items utt \'Word))))',
        *(f'(go "{number}" "{text}" {stretch})' for number, (text, stretch) in enumerate(jobs)),
    ]
    (folder / "jobs.scm").write_text("\n".join(script), encoding="utf-8")
    output = subprocess.run(["festival", "-b", str(folder / "jobs.scm")], capture_output=True, text=True).stdout
    spoken: dict[int, list[Word]] = {}
    for kind, *rest in (line.split() for line in output.splitlines() if line.strip()):
        if kind == "UTTERANCE":
            current = spoken[int(rest[0])] = []
        elif kind == "WORD":
            current.append((rest[0], float(rest[1]), float(rest[2])))
    results: list[tuple[np.ndarray, list[Word]] | None] = []
    for number in range(len(jobs)):
        path = folder / f"{number}.wav"
        if number not in spoken or not path.exists():
            results.append(None)
            continue
        rate, samples = wavfile.read(path)
        path.unlink()
        results.append((resample(samples.astype(np.float32) / 32768, rate), spoken[number]))
    return results
