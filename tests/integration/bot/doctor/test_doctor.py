"""`earshot doctor` against real neighbours: what works is said to work, and each thing that does not is told apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bot.config import BotConfig, load_config
from bot.doctor import examination
from bot.doctor import speech as speech_module
from bot.doctor.examination import examine
from bot.doctor.files import files
from bot.doctor.findings import Finding, Verdict, exit_code, print_table
from bot.doctor.network import names, reach
from bot.doctor.storage import _clock, storage
from bot.drivers.browser.sandbox import FULL_CHROMIUM, is_shell
from bot.platforms import load
from common.contracts.status import SubCode
from tests.e2e.test_processes import neighbours
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.processes import is_gone
from tests.support.servers.pages import NO_CHROMIUM, NO_PLAYWRIGHT, find_chromium
from tests.support.servers.redis_server import client, server
from tests.support.servers.whep_front import Front
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(60)]

CANARY = "canary-9c41"


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(redis: str, transcriber: str | list[str], meeting: str = "rehearsal:x") -> BotConfig:
    """A configuration that passes the checks."""
    settings = {"platform": "rehearsal", "meetingUrl": meeting, "redisUrl": redis, "whisperLiveUrl": transcriber}
    return load_config(json.dumps(settings), {})[0]


def verdicts(findings: Sequence[Finding]) -> dict[str, Verdict]:
    """Of each subject, by its first word: the transcriber's URL has a port of chance."""
    return {finding.subject.split(" ws://")[0]: finding.verdict for finding in findings}


@pytest.mark.processes
def test_everything_works(tmp_path: Path) -> None:
    """A real Redis and a real transcriber: the phrase comes back, exit code 0, no secret on the screen."""
    script = tmp_path / "script.json"
    script.write_text("{}")
    with neighbours(tmp_path) as urls:
        settings = {"platform": "rehearsal", "meetingUrl": f"rehearsal:{script}", "passcode": CANARY, **urls}
        ran = subprocess.run(
            [sys.executable, "-m", "bot", "doctor", "--config", "-"],
            input=json.dumps(settings), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f'"{speech_module.PHRASE}" after' in ran.stdout
    assert re.search("redis durability +doubtful", ran.stdout)
    assert "appendfsync everysec" in ran.stdout
    assert "fails" not in ran.stdout
    assert CANARY not in ran.stdout + ran.stderr


async def test_it_leaves_nothing_in_redis() -> None:
    """What it wrote to try is gone, and with an append-only file nothing is doubtful."""
    async with server(append_only=True) as redis, client(redis.url) as admin:
        findings = await storage(redis.url)
        assert verdicts(findings) == {
            "redis write": Verdict.WORKS, "redis durability": Verdict.WORKS, "clock": Verdict.WORKS,
        }  # fmt: skip
        assert await admin.keys("*") == []


async def test_a_redis_that_takes_no_writes_is_found() -> None:
    """Full, or without the right to append: it answers pings all the same; evictions are doubtful."""
    async with server() as redis, client(redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "bot", "on", ">long-password", "~*", "&*", "+@all", "-xadd")  # type: ignore[no-untyped-call]
        (finding,) = await storage(f"redis://bot:long-password@127.0.0.1:{redis.port}")
        assert (finding.verdict, finding.code) == (Verdict.FAILS, SubCode.REDIS_UNREACHABLE)
        assert "can.t run this command" in finding.detail.replace("'", ".")
        await admin.config_set("maxmemory", "100mb")
        await admin.config_set("maxmemory-policy", "allkeys-lru")
        assert verdicts(await storage(redis.url))["redis memory"] is Verdict.DOUBTFUL


async def test_a_right_that_only_the_doctor_would_need_is_no_trouble() -> None:
    """A bot's rights do not include the server's clock: it is said which would, and that a bot does without."""
    async with server(append_only=True) as redis, client(redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "bot", "on", ">long-password", "~*", "&*", "+@all", "-time")  # type: ignore[no-untyped-call]
        clock = (await storage(f"redis://bot:long-password@127.0.0.1:{redis.port}"))[-1]
        assert (clock.subject, clock.verdict) == ("clock", Verdict.SKIPPED)
        assert "+time" in clock.detail
        assert "bot needs" not in clock.detail


async def test_a_name_that_is_not_known_is_a_services_or_the_worlds() -> None:
    """What to do differs: one network for service names, a name server for all others."""
    settings = [("redisUrl", "redis://no-such-service", SubCode.REDIS_UNREACHABLE)]
    settings += [("meetingUrl", "https://no-such-host.invalid/x", SubCode.ROOM_UNREACHABLE)]
    service, host = await names(settings)
    assert (service.verdict, host.verdict) == (Verdict.FAILS, Verdict.FAILS)
    assert "Docker network" in service.remedy
    assert "name server" in host.remedy
    assert "Docker" not in host.remedy


async def test_a_transcriber_that_understands_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It greets and takes audio: only the phrase shows that nothing comes back, or something else."""
    monkeypatch.setattr(speech_module, "ANSWER_TIMEOUT_S", 3.0)
    transcriber = ScriptedTranscriber(answers=False)
    async with scripted_transcriber(transcriber):
        greeted, spoken = await speech_module.speech(transcriber.url, None)
        assert (greeted.verdict, spoken.verdict) == (Verdict.WORKS, Verdict.FAILS)
        assert exit_code([greeted, spoken]) == 3
        transcriber.answers = True
        _, spoken = await speech_module.speech(transcriber.url, None)
        assert spoken.verdict is Verdict.DOUBTFUL
        assert "samples" in spoken.detail
        assert speech_module.PHRASE in spoken.remedy


async def test_neighbours_that_are_not_there_are_each_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody at any port, and a name that nobody knows: each with its setting and what to do; exit code 3."""
    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 1.0)
    redis, room = free_port(), free_port()
    wanted = config(f"redis://127.0.0.1:{redis}", "ws://no-such-host.invalid:9090", f"rehearsal+ws://127.0.0.1:{room}")
    findings = await examine(wanted, ["odd"])
    found = verdicts(findings)
    assert found["configuration"] is Verdict.DOUBTFUL
    assert found["name 127.0.0.1"] is Verdict.WORKS
    assert found["browser"] is Verdict.SKIPPED
    for subject in ("name no-such-host.invalid", "redis write", "transcriber", "meeting"):
        assert found[subject] is Verdict.FAILS, subject
    assert all(finding.remedy for finding in findings if finding.verdict is Verdict.FAILS)
    assert exit_code(findings) == 3


async def test_a_failover_that_is_not_there_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot would start with the transcriber that works: no failure, and still said."""
    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 1.0)
    transcriber = ScriptedTranscriber()
    async with server() as redis, scripted_transcriber(transcriber):
        wanted = config(redis.url, [transcriber.url, f"ws://127.0.0.1:{free_port()}"])
        findings = await examine(wanted, [])
    away = [finding for finding in findings if finding.subject.startswith("transcriber")][1]
    assert (away.verdict, exit_code(findings)) == (Verdict.DOUBTFUL, 0)


async def test_a_meetings_server_is_reached_or_not() -> None:
    """A port that takes connections, one that is closed, one that answers no TLS, and a URL without a host."""
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    urls = (
        f"rehearsal+ws://127.0.0.1:{port}",
        f"ws://127.0.0.1:{free_port()}",
        f"https://127.0.0.1:{port}",
        "rehearsal:x",
    )
    findings = [await reach("meeting", url, SubCode.ROOM_UNREACHABLE, "look") for url in urls]
    listening.close()
    assert findings[-1].detail == "its URL names no host to reach"
    assert not findings[2].detail.endswith(": ")
    assert [finding.verdict for finding in findings] == [Verdict.WORKS, Verdict.FAILS, Verdict.FAILS, Verdict.SKIPPED]


async def test_what_a_bot_listens_to_is_tried_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain RTP: nobody is connected to; a port that is free, one that is taken, an engine that is not there."""

    async def meeting(port: int, **own: object) -> Finding:
        settings = {"platform": "rtp", "meetingUrl": f"rtp://127.0.0.1:{port}", "rtp": own}
        settings |= {"redisUrl": "redis://h", "whisperLiveUrl": "ws://h"}
        (found,) = await examination._room(load_config(json.dumps(settings), {})[0])
        return found

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert (await meeting(port)).code is SubCode.PORT_TAKEN
    for _ in range(2):  # the first try has let go of it
        found = await meeting(port)
        assert (found.verdict, found.detail) == (Verdict.WORKS, f"UDP {port}: free to be listened to; native decodes")
    monkeypatch.setenv("PATH", "/nowhere")
    found = await meeting(port, engine="gst", engineFallback=False)
    assert (found.verdict, found.code) == (Verdict.FAILS, SubCode.ENGINE_UNAVAILABLE)
    assert found.remedy


@pytest.mark.parametrize(
    ("mode", "away"),
    [
        ("auto", (Verdict.DOUBTFUL, None)),
        ("composite", (Verdict.FAILS, SubCode.EGRESS_UNAVAILABLE)),
        ("participant", None),
    ],
)
async def test_an_egress_is_played_from_a_server_that_is_tried(mode: str, away: object) -> None:
    """Away it ends a bot that hears nothing else; one that may hear tracks goes on without."""
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    near = f"rtmp://127.0.0.1:{listening.sockets[0].getsockname()[1]}/live"
    found = []
    for pull in (near, f"rtmp://127.0.0.1:{free_port()}/live"):
        settings = {
            "platform": "livekit", "meetingUrl": "ws://h", "redisUrl": "redis://h", "whisperLiveUrl": "ws://h",
            "livekit": {"room": "r", "apiKey": "k", "apiSecret": "s" * 32, "mode": mode,
                        "egress": {"ingestUrl": "rtmp://far/live", "pullUrl": pull}},
        }  # fmt: skip
        wanted = load_config(json.dumps(settings), {})[0]
        others = load(wanted.platform).neighbours(wanted.invitation())
        found += [await examination._beside(*other) for other in others]
    listening.close()
    told = [(finding.verdict, finding.code) for (finding,) in found]
    assert told == ([(Verdict.WORKS, None), away] if away else [])


async def test_a_stream_that_nobody_publishes_yet_is_doubtful() -> None:
    """It may be published when the bot comes."""
    async with Front(None).serving("127.0.0.1") as front:
        front.scripted.append(("404 Not Found", {}, ""))
        url = f"whep+http://127.0.0.1:{front.port}/whep/later"
        settings = {"platform": "whep", "meetingUrl": url, "redisUrl": "redis://h", "whisperLiveUrl": "ws://h"}
        wanted, _ = load_config(json.dumps(settings), {})
        (found,) = await examination._room(wanted)
        assert (found.verdict, found.code) == (Verdict.DOUBTFUL, SubCode.MEETING_NOT_STARTED)
        assert "notStartedTimeout" in found.remedy


async def test_a_platform_whose_packages_are_not_installed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot could not join, though its server takes connections."""
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    url = f"rtmp://127.0.0.1:{listening.sockets[0].getsockname()[1]}/live/x"
    settings = {"platform": "rtmp", "meetingUrl": url, "redisUrl": "redis://h", "whisperLiveUrl": "ws://h"}
    wanted, _ = load_config(json.dumps(settings), {})
    (found,) = await examination._room(wanted)
    assert found.verdict is Verdict.WORKS

    def prepare(self: object) -> None:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    monkeypatch.setattr("bot.platforms.rtmp.Rtmp.prepare", prepare)
    (found,) = await examination._room(wanted)
    listening.close()
    assert (found.verdict, found.code) == (Verdict.FAILS, SubCode.NOT_INSTALLED)
    assert "'.[webrtc]'" in found.detail


def test_a_clock_that_is_off_is_doubtful() -> None:
    """A second is no matter; an hour puts every absolute time in the wrong place."""
    assert _clock(-1.0).verdict is Verdict.WORKS
    assert (_clock(3600).verdict, "behind" in _clock(3600).detail) == (Verdict.DOUBTFUL, True)
    assert "ahead of" in _clock(-3600).detail


def test_the_table_ends_with_what_to_do() -> None:
    """Words of others are printed as they are; the exit code is that of the first failure."""
    findings = [
        Finding("configuration", Verdict.DOUBTFUL, "1 warnings", "odd"),
        Finding("meeting", Verdict.FAILS, "[red]h:1[/]: refused", "check it", SubCode.ROOM_UNREACHABLE),
        Finding("redis", Verdict.FAILS, "no", "", SubCode.REDIS_UNREACHABLE),
    ]
    screen = StringIO()
    print_table(findings, Console(file=screen, width=100))
    said = screen.getvalue()
    assert "[red]h:1[/]: refused" in said
    assert said.index("What to do") < said.index("meeting: check it")
    assert exit_code(findings) == 4
    assert exit_code(findings[:1]) == 0


def meet(**browser: object) -> BotConfig:
    """A meeting in a web page, whose page is served where nobody listens."""
    settings = {
        "platform": "google_meet", "nativeMeetingId": "abc-defg-hij", "meeting_id": 1, "redisUrl": "redis://r",
        "whisperLiveUrl": "ws://t:1", "google_meet": {"origin": f"http://127.0.0.1:{free_port()}"}, "browser": browser,
    }  # fmt: skip
    return load_config(json.dumps(settings), {})[0]


async def test_a_platform_that_is_a_page_needs_its_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that its configuration names is tried, also where no variable names one; without it a bot ends with 4."""
    monkeypatch.delenv("EARSHOT_CHROMIUM", raising=False)
    [found] = await examination._browser(meet(executable=str(tmp_path / "none"), allowNoSandbox=True))
    assert (found.verdict, found.code) == (Verdict.FAILS, SubCode.BROWSER_UNAVAILABLE)
    assert str(tmp_path / "none") in found.detail
    assert exit_code([found]) == 4
    [unneeded] = await examination._browser(config("redis://r", "ws://t:1"))
    assert unneeded.verdict is Verdict.SKIPPED


@pytest.mark.browser
async def test_a_chromium_without_its_sandbox_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts; whoever allowed it hears of it once more. It is started as the bot would: here no window opens."""
    require(find_chromium(), NO_CHROMIUM)
    [found] = await examination._browser(meet(executable=find_chromium(), allowNoSandbox=True))
    assert (found.verdict, "sandbox" in found.detail) == (Verdict.DOUBTFUL, True), found
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    [found] = await examination._browser(meet(executable=find_chromium(), allowNoSandbox=True, headless="window"))
    assert (found.verdict, "window" in found.detail) == (Verdict.FAILS, True), found


@pytest.mark.browser
async def test_a_headless_shell_is_doubtful_where_the_full_browser_is_asked_for() -> None:
    """The bot starts what there is, and warns; whoever examines hears of it before a meeting."""
    require(find_chromium(), NO_CHROMIUM)
    shell = is_shell(find_chromium())
    found = await examination._browser(meet(executable=find_chromium(), allowNoSandbox=True, headless="new"))
    assert [finding.remedy for finding in found][1:] == [FULL_CHROMIUM] * shell


@pytest.mark.browser
async def test_a_chromium_that_hangs_is_given_up_and_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In its time, though its driver would wait for it longer; where there is no folder for it, that is said."""
    monkeypatch.setattr(examination, "BROWSER_TIMEOUT_S", 6.0)  # its driver starts, too
    require(find_spec("playwright"), NO_PLAYWRIGHT)
    script, pid = tmp_path / "chromium", tmp_path / "pid"
    script.write_text(f"#!/bin/sh\nsetsid sleep 300 &\necho $! > {pid}\nwait\n")
    script.chmod(0o755)
    async with asyncio.timeout(20):
        [found] = await examination._browser(meet(executable=str(script), allowNoSandbox=True))
    assert (found.verdict, found.detail) == (Verdict.FAILS, "no answer within 6 s")
    await eventually(lambda: is_gone(int(pid.read_text())), 5)
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    [found] = await examination._browser(meet(executable=str(script), allowNoSandbox=True))
    assert (found.verdict, "--tmpfs /tmp" in found.detail) == (Verdict.FAILS, True), found


async def test_the_page_is_looked_for_where_it_is_opened() -> None:
    """At another origin, not at the platform; with an id alone; through a proxy it is not tried."""
    [found] = await examination._room(meet())
    assert (found.verdict, found.code) == (Verdict.FAILS, SubCode.ROOM_UNREACHABLE)
    assert "127.0.0.1" in found.detail
    [by_proxy] = await examination._room(meet(proxy="http://proxy:3128"))
    assert (by_proxy.verdict, "browser.proxy" in by_proxy.detail) == (Verdict.SKIPPED, True)


async def test_where_files_go_is_tried(tmp_path: Path) -> None:
    """Folders, the transcriber's `/process` and a bucket: doubtful where one is not there, for no bot ends of it."""
    taking = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    at, nowhere = taking.sockets[0].getsockname()[1], free_port()
    (tmp_path / "file").touch()
    settings = {
        "platform": "rehearsal",
        "meetingUrl": "rehearsal:x",
        "redisUrl": "redis://h",
        "whisperLiveUrl": "ws://h",
    }
    store = {"bucket": "files", "accessKey": "a", "secretKey": "s"}

    async def tried(folder: Path, port: int) -> dict[str, Finding]:
        more = {
            "recording": {"dir": str(folder), "processUrl": f"http://127.0.0.1:{port}/process"},
            "redis": {"spillDir": str(folder)},
            "objectStore": {"endpoint": f"http://127.0.0.1:{port}"} | store,
        }
        found = await files(load_config(json.dumps(settings | more), {})[0])
        return {finding.subject: finding for finding in found}

    works, fails = await tried(tmp_path / "made" / "later", at), await tried(tmp_path / "file" / "in", nowhere)
    taking.close()
    names = {"recording.dir", "recording.processUrl", "redis.spillDir", "objectStore.endpoint"}
    assert set(works) == set(fails) == names
    assert {finding.verdict for finding in works.values()} == {Verdict.WORKS}
    assert {finding.verdict for finding in fails.values()} == {Verdict.DOUBTFUL}
    assert all(finding.remedy and finding.code is None for finding in fails.values())
    assert os.listdir(tmp_path) == ["file"], "nothing is made"
    assert await files(load_config(json.dumps(settings), {})[0]) == []
