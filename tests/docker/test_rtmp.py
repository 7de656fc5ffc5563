"""The RTMP server's image, somebody who publishes to it, and the bot, each in a container."""

from __future__ import annotations

import json
import time
from uuid import uuid4

from bot.platforms.rtmp.access import with_key
from tests.docker.test_meeting import CANARY, USERS_CONFIG, ended
from tests.support.servers.containers import RTMP, SDK, World, docker

SECRET = f"{CANARY}-secret-of-the-rtmp-server"
URL = "rtmp://rtmp/live/standup"
PUBLISH = """
import sys, time, wave
from importlib.resources import files
import av, numpy as np

def clip(name):
    with wave.open(str(files("rehearsal") / f"clips/{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()

(first, rate), (second, _) = clip("ana1"), clip("ben5")
pause = np.zeros(rate * 2, np.int16)
pcm = np.concatenate([pause, first, pause, second, pause])
with av.open(sys.argv[1], "w", format="flv") as flv:
    stream = flv.add_stream("aac", rate=48000, layout="stereo")
    resampler, began = av.AudioResampler(stream.format, stream.layout, 48000, 1024), time.monotonic()
    for at in range(0, pcm.size, rate // 50):
        time.sleep(max(0.0, began + at / rate - time.monotonic()))
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, at : at + rate // 50], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        for piece in resampler.resample(frame):
            flv.mux(stream.encode(piece))
"""
"""Somebody who publishes two sentences as AAC."""


def test_a_published_stream_becomes_segments(here: World) -> None:
    """Without a key nobody publishes; with one, its words are nobody's in particular, and its end is the end."""
    server = here.start("rtmp", RTMP, "--tmpfs", "/tmp", "-e", f"RTMP_SECRET={SECRET}")
    uid = f"c-{uuid4().hex[:8]}"
    settings = {
        **USERS_CONFIG,
        "platform": "rtmp",
        "meetingUrl": URL,
        "rtmp": {"secret": SECRET, "publisherReturnTimeout": 1500},
        "meeting_id": 44,
        "connectionId": uid,
        "language": "en",
    }
    mount = ("--no-healthcheck", "--entrypoint", "python")
    keyed = with_key(URL, "publish", int(time.time()) + 600, SECRET)
    with here.bot(settings) as bot:
        here.await_status(uid, "active")
        with here.run("stranger", SDK, *mount, command=("-c", PUBLISH, URL)) as stranger:
            assert stranger.exit_code(60) != 0
        with here.run("publisher", SDK, *mount, command=("-c", PUBLISH, keyed)) as publisher:
            assert publisher.exit_code(60) == 0, publisher.output()
            assert bot.exit_code(60) == 0, bot.output()
    assert ended(bot)["code"] == "meeting_ended"
    finals = here.finals(uid)
    assert {segment["speaker"] for segment in finals} == {"unknown"}
    words = {word for segment in finals for word in segment["text"].split()}
    assert words >= {"what", "status", "contract", "feature"}  # a busy machine may cost a word of the others
    assert CANARY not in bot.output() + docker("logs", server) + json.dumps(here.segments(uid) + here.statuses(uid))
