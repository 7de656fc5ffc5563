"""The check of a transcriber: a spoken phrase goes there as in a meeting, and has to come back as text."""

from __future__ import annotations

import asyncio
import re
import time
import wave
from importlib.resources import files
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from bot.doctor.findings import Finding, Verdict
from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.link import TranscriberLink
from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError
from common.redact import redact_url
from common.whisperlive.protocol import Handshake

PHRASE = "what is the status of the contract"
"""Said in `phrase.wav`."""
SPOKEN = "spoken test phrase"
ANSWER_TIMEOUT_S = 30.0
"""Seconds for the phrase, which takes 2: a large model on a CPU may be slow, and useless when it is slower."""
SLOW_S = 5.0
MIN_WORDS_SHARE = 0.5
"""Part of the phrase's words without which it was understood badly."""


class _Heard:
    """What came back."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}  # by first sample: a stock server says things again
        self.problem = ""

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """Whatever is granted will do."""

    def text(self, lane: int, text: LaneText) -> None:
        """A partial or a final."""
        self.texts[text.start] = text.wire.text.strip()

    def decided(self, lane: int, sample: int) -> None:
        """The end is seen in the lane's own."""

    def transcriber(self, healthy: bool, detail: str) -> None:
        """Kept for the case that nothing comes."""
        self.problem = "" if healthy else detail


def phrase() -> NDArray[np.int16]:
    """The samples of `PHRASE`, int16 mono 16 kHz, shape (n,)."""
    with (files("bot.doctor") / "phrase.wav").open("rb") as file, wave.open(file) as clip:
        return np.frombuffer(clip.readframes(clip.getnframes()), np.int16)


async def speech(url: str, key: str | None) -> list[Finding]:
    """Greets a transcriber, speaks to it and looks at what it understood."""
    server, doctor = redact_url(url), f"earshot-doctor-{uuid4()}"

    def handshake(sample: int) -> Handshake:
        return Handshake(
            doctor, language="en", same_output_threshold=2, extensions=EXTENSIONS, platform="doctor",
            meeting_url="doctor", token=doctor, meeting_id=doctor,
        )  # fmt: skip

    heard = _Heard()
    link = TranscriberLink((url,), handshake, heard, key=key)
    began = time.monotonic()
    try:
        await link.open()
    except EarshotError as error:
        remedy = MEANINGS[error.code].remedy
        if error.code is SubCode.TRANSCRIBER_UNREACHABLE:
            remedy = "check `whisperLiveUrl` and the network; in a container, localhost is the container"
        return [Finding(f"transcriber {server}", Verdict.FAILS, str(error), remedy, error.code)]
    greeted = Finding(f"transcriber {server}", Verdict.WORKS, f"takes audio ({time.monotonic() - began:.1f} s)")
    lane = link.lane(0)
    lane.append(phrase())
    lane.end_utterance()
    lane.close()
    began = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await lane.run()
    except TimeoutError:
        pass
    text = " ".join(heard.texts[start] for start in sorted(heard.texts))
    return [greeted, _judge(server, text, time.monotonic() - began, heard.problem)]


def _judge(server: str, text: str, took: float, problem: str) -> Finding:
    subject = SPOKEN
    if not text:
        why = problem or f"no text within {took:.0f} s"
        remedy = (
            "the connection is there and nobody understands: look at the transcriber's log, and at any proxy on the way"
        )
        return Finding(subject, Verdict.FAILS, f"{server}: {why}", remedy, SubCode.TRANSCRIBER_UNREACHABLE)
    said = re.findall(r"[a-z]+", text.lower())
    words = PHRASE.split()
    share = sum(word in said for word in words) / len(words)
    detail = f'{server}: "{text}" after {took:.1f} s'
    if share < MIN_WORDS_SHARE:
        remedy = f'"{PHRASE}" was said: a larger model, or one that knows English'
        return Finding(subject, Verdict.DOUBTFUL, detail, remedy)
    if took > SLOW_S:
        return Finding(subject, Verdict.DOUBTFUL, detail, "2 s of speech took longer: a smaller model, or a GPU")
    return Finding(subject, Verdict.WORKS, detail)
