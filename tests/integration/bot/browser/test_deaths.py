"""Pages that die: noticed in time, opened again a few times, and nothing of Chromium is left, however it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bot.drivers.browser.bridge import MAX_MALFORMED
from bot.drivers.browser.launch import PREFIX, own_folder, processes, sweep
from bot.drivers.browser.page import CALL_TIMEOUT_S, MeetingPage, PageGoneError, open_page
from bot.drivers.browser.stay import MAX_RELAUNCHES, stay
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.measures import in_time
from tests.support.processes import descendants, is_gone
from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings, page, serve_pages
from tests.support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture(autouse=True)
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not shared with bots of other tests; short, as paths of Chromium's sockets are bounded."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield


def folders() -> set[Path]:
    """The folders of bots' Chromiums."""
    return set(Path(tempfile.gettempdir()).glob(PREFIX + "*"))


def of_chromium(kind: str, folder: Path) -> int:
    """One of its processes: `renderer` (the page's), `browser` or `driver`."""
    found = []
    for process in processes(folder):
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        of_type = re.search(rb"--type=([\w-]+)", command)  # a renderer's words are not apart: it came from the zygote
        is_browser = not of_type and b"--user-data-dir" in command
        its_kind = "driver" if b"run-driver" in command else "browser" if is_browser else ""
        if kind in (its_kind, of_type[1].decode() if of_type else ""):
            found.append(process)
    assert found, f"no {kind}"
    return max(found)


async def test_nothing_is_left_behind() -> None:
    """After the end no process and no folder of it: of an ordinary one, and of one whose body raised."""
    before, own = folders(), descendants(os.getpid())

    async def raising() -> None:
        async with open_page(chromium_settings(), Heard()) as shown:
            await shown.evaluate("1 + 1")
            assert len(folders() - before) == 1
            raise KeyError

    with pytest.raises(KeyError):
        await raising()
    assert folders() == before
    await eventually(lambda: all(is_gone(one) for one in descendants(os.getpid()) - own))


@pytest.mark.parametrize("turns", range(6))
async def test_whoever_is_cancelled_again_while_it_ends_leaves_nothing(turns: int) -> None:
    """As by the bot, two seconds after the order to leave: what froze would be left, and its folder be gone."""
    began: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

    async def stay() -> None:
        async with own_folder() as folder:
            environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}
            began.set_result(await asyncio.create_subprocess_exec("sleep", "300", env=environment))
            await asyncio.sleep(60)

    task = asyncio.create_task(stay())
    process = await began
    task.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL
    assert not folders()


@pytest.mark.parametrize(
    ("kind", "number", "within"),
    [
        ("renderer", signal.SIGKILL, 0.5),
        ("browser", signal.SIGKILL, 0.5),
        ("driver", signal.SIGKILL, 0.5),
        ("renderer", signal.SIGSTOP, 5.0),
    ],
)
async def test_a_death_is_noticed(kind: str, number: signal.Signals, within: float) -> None:
    """Killed: within half a second. Frozen: within five. Calls that wait end at once, and nothing is left."""
    before = folders()
    async with serve_pages({"/": page("")}) as url, open_page(chromium_settings(), Heard()) as shown:
        await shown.goto(url)
        await eventually(lambda: shown._bridge.heard_at is not None)
        (folder,) = folders() - before
        waiting = asyncio.create_task(shown.evaluate("new Promise(() => {})", timeout=60))
        await asyncio.sleep(1.5)  # a heartbeat has been
        killed = time.monotonic()
        os.kill(of_chromium(kind, folder), number)
        gone = await asyncio.wait_for(asyncio.shield(shown.gone), within + 20)
        took = time.monotonic() - killed
        assert gone.code is SubCode.BROWSER_CRASHED
        with pytest.raises(PageGoneError):
            await waiting
        with pytest.raises(PageGoneError):
            await shown.evaluate("1")
    assert in_time(took, within + 0.5), took  # half a second for a busy machine
    assert folders() == before
    await eventually(lambda: not processes(folder), 5)


async def test_a_frame_that_is_heard_and_cannot_be_read_is_the_end_of_its_page() -> None:
    """Cut off, it would be deaf for good: so its page counts as dead. One without tracks costs nothing."""
    heard = Heard()
    async with open_page(chromium_settings(), heard) as shown:
        bridge = shown._bridge
        protocols = [Subprotocol("earshot"), Subprotocol(bridge.token)]
        async with connect(f"ws://{bridge.authority}/", subprotocols=protocols) as frame:
            for _ in range(MAX_MALFORMED + 1):
                await frame.send("{")
            await frame.send(json.dumps({"type": "track", "track": 1, "id": "t", "streams": []}))
            await heard.until(lambda: heard.open, "the track")
            assert not shown.gone.done()
            await frame.send("{")
            gone = await asyncio.wait_for(asyncio.shield(shown.gone), 5)
            await frame.wait_closed()
            assert frame.close_code == 1008
        assert "cannot be read" in str(gone)
        await heard.until(lambda: not heard.open, "closed")


@pytest.mark.cores(1.0)
async def test_a_busy_page_is_not_frozen() -> None:
    """A page whose own script runs for seconds is left alone, also as it begins, before its worker has spoken."""
    busy = "const asked = new XMLHttpRequest(); asked.open('GET', '/slow', false); asked.send();"  # of no core's time
    pages = {"/": page(""), "/busy": page(busy), "/slow": ""}
    async with serve_pages(pages, slow={"/slow": 7.0}) as url, open_page(chromium_settings(), Heard()) as shown:
        await shown.goto(f"{url}/busy", timeout=15)
        await shown.goto(url)
        await eventually(lambda: shown._bridge.heard_at is not None)
        began = time.monotonic()
        await shown.evaluate(f"() => {{ {busy} }}", timeout=15)
        assert time.monotonic() - began > 6
        assert not shown.gone.done()


async def test_every_call_ends() -> None:
    """A script that never answers, an element that never comes, a server that never answers: each within its time."""
    from playwright.async_api import TimeoutError as PlaywrightTimeoutError

    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
    async with open_page(chromium_settings(), Heard()) as shown:
        with pytest.raises(TimeoutError):
            await shown.evaluate("new Promise(() => {})", timeout=0.5)
        began = time.monotonic()
        with pytest.raises(PlaywrightTimeoutError):
            await shown.locator("#never").click()
        assert time.monotonic() - began < CALL_TIMEOUT_S + 1
        with pytest.raises(EarshotError, match=url[7:-1]) as failure:
            await shown.goto(url, timeout=1)
        assert failure.value.code is SubCode.ROOM_UNREACHABLE
    silent.close()
    for writer in writers:
        writer.close()


async def test_a_page_that_dies_is_opened_again_and_again_and_no_more() -> None:
    """Renderer, browser, driver killed: back on the page each time, heard again; the fourth death is the end."""
    heard, visits, lost = Heard(), list[float](), list[float]()
    kinds = ["renderer", "browser", "driver", "renderer"]
    before = folders()

    async with serve_pages({"/": page("call(tone(440));")}) as url:

        async def visit(shown: MeetingPage, launch: int) -> SubCode:
            await shown.goto(url)
            since = time.monotonic()
            await heard.until(lambda: heard.pitches(since) == [440], "the tone", 20)
            visits.append(time.monotonic())
            assert launch == len(visits) - 1
            (folder,) = folders() - before
            os.kill(of_chromium(kinds[launch], folder), signal.SIGKILL)
            await asyncio.sleep(60)
            return SubCode.MEETING_ENDED

        with pytest.raises(EarshotError, match="4 times within 10 minutes") as failure:
            await stay(
                chromium_settings(),
                heard,
                visit,
                lambda: lost.append(time.monotonic()),
                arguments=ON_ONE_MACHINE,
            )
    assert failure.value.code is SubCode.BROWSER_CRASHED
    assert len(visits) == len(lost) + 1 == MAX_RELAUNCHES + 1
    assert all(back - gone < 20 for gone, back in zip(lost, visits[1:], strict=True))
    assert folders() == before
    assert not heard.open


async def test_a_killed_bot_leaves_nothing_for_long() -> None:
    """kill -9 of the bot: Chromium goes with it, and the next start removes the folder."""
    before = folders()
    program = (
        "import asyncio\n"
        "from bot.drivers.browser.page import open_page\n"
        "from tests.support.servers.pages import Heard, chromium_settings\n"
        "async def main():\n"
        "    async with open_page(chromium_settings(), Heard()) as shown:\n"
        "        await shown.evaluate('1')\n"
        "        print('open', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    bot = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    try:
        assert bot.stdout is not None
        assert await asyncio.wait_for(bot.stdout.readline(), 60) == b"open\n"
        (folder,) = folders() - before
        started = processes(folder)
        os.kill(of_chromium("renderer", folder), signal.SIGSTOP)  # it does not hear that its parents are gone
        sweep()
        assert folder.exists(), "a living bot's folder was swept"
    finally:
        bot.kill()
        await bot.communicate()
    async with open_page(chromium_settings(), Heard()):
        assert not folder.exists()
        await eventually(lambda: all(is_gone(process) for process in started), 1)
    assert folders() == before


async def test_a_popup_is_closed_and_a_dialog_dismissed() -> None:
    """What a page opens beside itself goes; its questions do not stop it; no download, no clipboard, no location."""
    script = "onload = () => { open('/'); alert('hello'); document.title = String(confirm('?')); };"
    async with serve_pages({"/": page(script)}) as url, open_page(chromium_settings(), Heard()) as shown:
        await shown.goto(url)
        await eventually(lambda: len(shown.page.context.pages) == 1)
        await shown.page.wait_for_function("document.title === 'false'")
        asked = "(name) => navigator.permissions.query({ name }).then(({ state }) => state)"
        states = {name: await shown.evaluate(asked, name) for name in ("microphone", "geolocation", "clipboard-read")}
        assert (states["microphone"], states["geolocation"] == "granted", states["clipboard-read"] == "granted") == (
            "granted",
            False,
            False,
        )


async def test_a_page_that_asks_whether_it_may_be_left_is_left() -> None:
    """After a click it may ask: then the meeting could not be opened again."""
    asks = page("addEventListener('beforeunload', (event) => event.preventDefault())")
    async with serve_pages({"/": asks, "/next": ""}) as url, open_page(chromium_settings(), Heard()) as shown:
        await shown.goto(url)
        await shown.page.mouse.click(100, 100)
        await shown.goto("about:blank")
        await shown.goto(f"{url}/next")
        assert await shown.evaluate("location.pathname") == "/next"


async def test_the_devices_are_silent_and_black() -> None:
    """A page that asks for microphone and camera gets both, without a sound and without a picture."""
    script = """async () => {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
        const context = new AudioContext(), meter = context.createAnalyser();
        context.createMediaStreamSource(stream).connect(meter);
        const samples = new Float32Array(meter.fftSize);
        let loudest = 0;
        for (let n = 0; n < 20; n += 1) {
            await new Promise((resolve) => setTimeout(resolve, 50));
            meter.getFloatTimeDomainData(samples);
            loudest = Math.max(loudest, ...samples.map(Math.abs));
        }
        return { loudest, kinds: stream.getTracks().map(({ kind }) => kind).sort() };
    }"""
    async with serve_pages({"/": page("")}) as url, open_page(chromium_settings(), Heard()) as shown:
        await shown.goto(url)
        seen = await shown.evaluate(script, timeout=15)
    assert seen["kinds"] == ["audio", "video"]
    assert seen["loudest"] < 0.001


async def test_what_a_listener_raises_is_not_lost() -> None:
    """A bug of whoever listens ends the page with that error."""

    class Broken(Heard):
        def track_opened(self, track: object) -> None:
            raise KeyError("broken")

    async with (
        serve_pages({"/": page("call(tone(440));")}) as url,
        open_page(chromium_settings(), Broken(), arguments=ON_ONE_MACHINE) as shown,
    ):
        with contextlib.suppress(KeyError):
            await shown.goto(url)  # which may end with it
        with pytest.raises(KeyError, match="broken"):
            await asyncio.wait_for(asyncio.shield(shown.gone), 10)


async def test_no_chromium_is_said() -> None:
    """A path where there is none: what to do, not a stack of Playwright's."""
    with pytest.raises(EarshotError, match="EARSHOT_CHROMIUM") as failure:
        async with open_page(chromium_settings(executable="/no/such/chromium"), Heard()):
            pass
    assert failure.value.code is SubCode.BROWSER_UNAVAILABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
async def test_root_is_refused_unless_told_otherwise() -> None:
    """The sandbox does not run as root: said with both ways out."""
    with pytest.raises(EarshotError, match="allowNoSandbox") as failure:
        async with open_page(chromium_settings(allow_no_sandbox=False), Heard()):
            pass
    assert failure.value.code is SubCode.BROWSER_UNAVAILABLE
