"""Neighbours that die, come late or are cut off, each in its container: every word once, and it is said meanwhile."""

from __future__ import annotations

import json
import time
from difflib import SequenceMatcher
from typing import Any

from rehearsal.clips import manifest
from tests.docker.test_meeting import ANA_AND_BEN, USERS_CONFIG, config
from tests.support.servers.containers import SDK, TRANSCRIBER, Run, World, docker, eventually, inspect

CPU, GPU = USERS_CONFIG["whisperLiveUrl"], "ws://vexa-whisperlive-gpu-1:9090"
SPACING_S = 3.0
"""From the beginning of a sentence to that of the next: somebody who hardly pauses."""
OUTAGE_S = 15.0
SHORT_MEMORY = """
import bot.audio.plane
bot.audio.plane.CAPACITY_SAMPLES = 7 * 16_000
from bot.cli import main
main()
"""
"""The bot, with a bound of 7 s of speech instead of 60, so that an outage of seconds is longer than it bears."""


def monologue(sentences: int, first: float = 1.0) -> tuple[dict[str, Any], list[str]]:
    """A script in which Ana speaks, and the words that she says; nobody ends the meeting."""
    clips = list(manifest())[:sentences]
    spoken = [
        {"at": first + SPACING_S * number, "who": "ana", "do": "speak", "clip": clip}
        for number, clip in enumerate(clips)
    ]
    words = " ".join(manifest()[clip]["text"] for clip in clips).split()
    return {"participants": ANA_AND_BEN[:1], "timeline": spoken}, words


def words_of(segments: list[dict[str, Any]]) -> list[str]:
    """What was transcribed, as a list of words."""
    return " ".join(segment["text"] for segment in segments).split()


def hears_all(here: World, uid: str, spoken: list[str]) -> None:
    """Waits until the end of what is spoken is final; then every sentence is there, once and in order, as far as a
    busy machine, on which the room itself stutters, lets that be told: none is shorter than six words.
    """
    last = set(spoken[-6:])
    eventually(lambda: len(last & set(words_of(here.finals(uid))[-8:])) >= 4, f"the last sentence of {uid}", 60)
    heard = words_of(here.finals(uid))
    matches = SequenceMatcher(None, spoken, heard, autojunk=False)
    steps = [(tag, last - first, now - before) for tag, first, last, before, now in matches.get_opcodes()]
    assert all(max(lost, more) < 4 for tag, lost, more in steps if tag != "equal"), (spoken, heard)


def servers(bot: Run) -> list[str]:
    """Where its lanes have connected to, in order."""
    return [event["server"] for event in bot.events() if event["event"] == "transcriber.connected"]


def unplug(here: World, name: str) -> None:
    """Takes a container off the network: nobody is told, packets just do not arrive."""
    docker("network", "disconnect", here.network, name)


def plug_in(here: World, name: str, alias: str) -> None:
    """Puts it on the network under a name."""
    docker("network", "connect", "--alias", alias, here.network, name)


def test_a_transcriber_is_killed_in_mid_sentence(here: World) -> None:
    """SIGKILL, then a new start: every word once, in order; it is said that it was away, and that it is back."""
    script, spoken = monologue(4)
    with here.room(script) as url:
        settings = config(url, meeting_id="killed")
        uid = settings["connectionId"]
        with here.live("killed") as live, here.bot(settings) as bot:
            next(segment for segment in live if segment["completed"])
            next(segment for segment in live if not segment["completed"])
            docker("kill", "--signal", "KILL", here.transcriber)
            docker("start", here.transcriber)
            hears_all(here, uid, spoken)
            assert bot.stop() < 5
    assert [event["healthy"] for event in here.health(uid, "transcriber")] == [False, True]


def test_the_preferred_transcriber_comes_late(here: World) -> None:
    """The one on the CPU serves as long as the one on the GPU is not there; then it is left, between two sentences."""
    script, spoken = monologue(20)
    gpu = here.start("spare", TRANSCRIBER)
    try:
        eventually(lambda: inspect(gpu)["State"]["Health"]["Status"] == "healthy", "the GPU's is healthy")
        unplug(here, gpu)
        with here.room(script) as url:
            settings = config(url, whisperLiveUrl=[GPU, CPU])
            uid = settings["connectionId"]
            with here.bot(settings) as bot:
                eventually(lambda: here.finals(uid), "a final from the CPU")
                assert set(servers(bot)) == {CPU}
                plug_in(here, gpu, "vexa-whisperlive-gpu-1")
                eventually(lambda: servers(bot)[-1] == GPU, "the bot goes to the GPU", 40)
                before = len(here.finals(uid))
                eventually(lambda: len(here.finals(uid)) >= before + 2, "finals from the GPU")
                assert bot.stop() < 5
    finally:
        docker("rm", "--force", gpu)
    assert servers(bot) == [CPU, GPU]
    assert here.health(uid, "transcriber") == []  # somebody was there all the time
    heard = words_of(here.finals(uid)[:-1])  # the last sentence was cut short
    assert SequenceMatcher(None, spoken[: len(heard)], heard, autojunk=False).ratio() > 0.8


def test_a_transcriber_is_cut_off_for_a_while(here: World) -> None:
    """15 s without network: nothing is lost within what a bot keeps; beyond, one gap says how much."""
    script, spoken = monologue(8, first=4.0)
    with here.room(script) as url:
        patient, forgetful = config(url, meeting_id="cut"), config(url)
        uids = [settings["connectionId"] for settings in (patient, forgetful)]
        short = ("-e", f"BOT_CONFIG={json.dumps(forgetful)}", "--entrypoint", "python")
        with (
            here.live("cut") as live,
            here.bot(patient) as bot,
            here.run("bot", SDK, *short, command=("-c", SHORT_MEMORY, "run")) as other,
        ):
            next(segment for segment in live if not segment["completed"])
            unplug(here, here.transcriber)
            try:
                time.sleep(OUTAGE_S)
            finally:
                plug_in(here, here.transcriber, "vexa-whisperlive-1")
            hears_all(here, uids[0], spoken)
            eventually(lambda: here.health(uids[1], "gap:"), "the gap is told")
            assert max(bot.stop(), other.stop()) < 5
    assert here.health(uids[0], "gap:") == []
    told = [event["healthy"] for event in here.health(uids[0], "transcriber")]
    assert (told[0], told[-1], told.count(True)) == (False, True, 1)  # it may be mute before it is lost
    (gap,) = here.health(uids[1], "gap:")
    assert float(gap["detail"].split()[0]) > 1
    kept, left = (len(words_of(here.finals(uid))) for uid in uids)
    assert left <= kept - 3


def test_docker_stop_where_the_bot_is_the_first_process(here: World) -> None:
    """Without an init: gone within 5 s in the middle of a sentence, exit code 143, and session_end is stored."""
    script, _ = monologue(8)
    with here.room(script) as url:
        settings = config(url, meeting_id="first")
        uid = settings["connectionId"]
        alone = ("-e", f"BOT_CONFIG={json.dumps(settings)}", "--entrypoint", "earshot")
        with here.live("first") as live, here.run("bot", SDK, *alone, command=("run",)) as bot:
            next(segment for segment in live if not segment["completed"])
            assert "tini" not in docker("exec", bot.name, "cat", "/proc/1/cmdline")
            assert inspect(bot.name)["Path"] == "earshot"
            assert bot.stop() < 5
            assert bot.exit_code(5) == 143
    assert here.finals(uid)
    assert here.segments(uid)[-1]["type"] == "session_end"
    assert here.statuses(uid)[-1]["exit_code"] == 143
