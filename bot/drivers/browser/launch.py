"""Chromium, started for one page: which program, with which switches and why, in a folder of its own that never stays.

The folder holds the profile, Chromium's and its driver's temporary files and the silent devices. Its lock is ours: a
folder whose lock is free was left by a bot that was killed, and the next start sweeps it, with what still runs in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import tempfile
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog

from bot.drivers.browser.driver import CLOSE_TIMEOUT_S, START_TIMEOUT_S, running_driver, within
from bot.drivers.browser.sandbox import (
    FULL_CHROMIUM,
    ROOT,
    confinement,
    find_chromium,
    is_sandboxed,
    is_shell,
    launch_options,
    no_window,
    not_started,
)
from bot.drivers.browser.settings import BrowserSettings
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

PREFIX = "earshot-chromium-"
KILL_TIMEOUT_S = 0.4
"""For what was killed to be gone: where nobody has a processor for it, that takes a while, and changes nothing."""
VERSION_TIMEOUT_S = 5.0

SWITCHES = (
    "--disable-gpu",  # there is none in a container, and looking for one takes a second
    "--disable-quic",  # where UDP is filtered, QUIC stalls for seconds before HTTP/2 is tried
    "--autoplay-policy=no-user-gesture-required",  # nobody clicks before a page may play what we listen to
    "--use-fake-ui-for-media-stream",  # the headless shell has nobody to ask, and would say that there are no devices
    "--use-fake-device-for-media-stream",  # pages refuse a participant without devices; ours are silent and black
    "--disable-blink-features=AutomationControlled",  # sites show the page that they show everybody
    "--no-pings",  # hyperlink auditing: requests that no meeting needs
    # Public pages may not reach this machine or its network (Local Network Access). Our bridge alone counts as public.
    "--ip-address-space-overrides={bridge}=public",
)
"""Beside those of Playwright; `{bridge}` is the bridge's host:port. Not here, although cheaper: --no-zygote (needs
--no-sandbox), --in-process-gpu and --renderer-process-limit (less isolation of a strange page), and whatever loosens
web security or certificates."""
PLAYWRIGHT_SWITCHES_OFF = (
    "--enable-automation",  # a banner, and pages that turn bots away
    "--disable-popup-blocking",  # a page is a stranger
    "--disable-ipc-flooding-protection",  # the same
)
PERMISSIONS = ("microphone", "camera")
"""The devices are our silent ones. All else is refused without asking: clipboard, location, the local network."""
ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
"""Variables that Chromium gets of ours."""
NO_FOLDER = (
    "Chromium needs a folder for its files, and there is none: {}. In Docker it needs a writable /tmp (--tmpfs /tmp)."
)
UNCONFINED = "Chromium runs without its sandbox although it was asked for. Set `browser.allowNoSandbox` to allow that."

log = structlog.get_logger(__name__)


def unavailable(detail: str) -> EarshotError:
    """Chromium cannot be had."""
    return EarshotError(SubCode.BROWSER_UNAVAILABLE, detail)


@asynccontextmanager
async def chromium(
    settings: BrowserSettings, bridge: str, switches: Sequence[str] = ()
) -> AsyncIterator[BrowserContext]:
    """A Chromium with one empty page; at the end no process and no file of it is left.

    Args:
        settings: Which Chromium, and how.
        bridge: host:port on loopback that its pages may reach.
        switches: More of them, for tests; of a switch that is given twice the last one counts.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE. One that comes out of the block and says BROWSER_CRASHED has Chromium killed
            before anything is asked of it.
    """
    if os.geteuid() == 0 and not settings.allow_no_sandbox:
        raise unavailable(ROOT)
    with _told():
        await asyncio.to_thread(sweep)
    async with own_folder() as folder, running_driver(folder) as driver:
        context = await _launch(driver, settings, folder, bridge, switches)
        try:
            if not settings.allow_no_sandbox and not await asyncio.to_thread(is_confined, folder):
                raise unavailable(UNCONFINED)
            yield context
        except EarshotError as error:
            if error.code is SubCode.BROWSER_CRASHED:  # one that froze would let us wait for each answer
                await asyncio.to_thread(_kill_now, folder)
            raise
        finally:
            if not await within(context.close(), CLOSE_TIMEOUT_S):
                log.warning("browser_killed", why=f"it did not close within {CLOSE_TIMEOUT_S:g} s")
                await asyncio.to_thread(_kill_now, folder)  # its driver, too, which would wait for it as long again


async def _launch(
    driver: Any, settings: BrowserSettings, folder: Path, bridge: str, switches: Sequence[str]
) -> BrowserContext:
    from playwright.async_api import Error

    executable = find_chromium(settings.executable, driver.chromium.executable_path, settings.headless)
    if (why := no_window(settings.headless, executable)) is not None:
        raise unavailable(why)
    if settings.headless == "new" and is_shell(executable):
        log.warning("browser_is_the_headless_shell", executable=executable, remedy=FULL_CHROMIUM)
    with _told():
        _make_devices(folder)
        agent = settings.user_agent or await _user_agent(executable or driver.chromium.executable_path, folder)
    given = [switch.replace("{bridge}", bridge) for switch in (*SWITCHES, *switches)]
    if agent is not None:
        given.append(f"--user-agent={agent}")  # beside Playwright's own way, which workers and proxies do not see
    options: dict[str, Any] = {
        **launch_options(settings.headless, executable),
        "chromium_sandbox": not settings.allow_no_sandbox,
        "args": [*_devices(folder), f"--lang={settings.locale}", *given],
        "ignore_default_args": list(PLAYWRIGHT_SWITCHES_OFF),
        "env": _environment(folder),
        "accept_downloads": False,
        "bypass_csp": True,  # else a strict policy keeps our worker out
        "locale": settings.locale,
        "proxy": proxy(settings, bridge),
        "user_agent": agent,
        "viewport": {"width": 1280, "height": 720},
        "timeout": START_TIMEOUT_S * 1000,
    }
    try:
        context: BrowserContext = await driver.chromium.launch_persistent_context(folder / "profile", **options)
        await context.grant_permissions(list(PERMISSIONS))
    except Error as error:
        said = str(error).replace("BrowserType.launch_persistent_context: ", "")
        raise unavailable(str(not_started(said, settings.allow_no_sandbox))) from None
    await _sign_in(context, settings)
    return context


def _environment(folder: Path) -> dict[str, str]:
    """Chromium's: little of ours, which may hold secrets; what it writes goes into the folder."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder)}


async def _user_agent(executable: str, folder: Path) -> str | None:
    """Chrome's of the same version, without the word Headless; None: the program does not say its version."""
    with (folder / "version").open("w+b") as file:  # a pipe would be waited for: a script's child may hold it
        try:
            asked = await asyncio.create_subprocess_exec(
                executable, "--version", stdout=file, stderr=asyncio.subprocess.DEVNULL, env=_environment(folder)
            )
        except OSError:
            return None
        try:
            await asyncio.wait_for(asked.wait(), VERSION_TIMEOUT_S)
        except TimeoutError:
            return None
        finally:  # cancelled, too: it is ours to end
            if asked.returncode is None:
                asked.kill()
                await asked.wait()
        file.seek(0)
        said = file.read(1024)
    found = re.search(rb"(\d+)\.\d+\.\d+\.\d+", said)
    if found is None:
        return None
    system = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    return f"{system} Chrome/{found[1].decode()}.0.0.0 Safari/537.36"


def proxy(settings: BrowserSettings, bridge: str) -> dict[str, str] | None:
    """The proxy as Playwright wants it; the way to our bridge does not lead through it."""
    if settings.proxy is None:
        return None
    parts = urlsplit(settings.proxy.get_secret_value())
    given = {
        "server": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        "bypass": f"<-loopback>,{bridge}",  # the last rule that fits counts
    }
    if parts.username is not None:
        given |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    return given


async def _sign_in(context: BrowserContext, settings: BrowserSettings) -> None:
    """Takes up a stored session: its cookies, and each site's local storage."""
    if settings.storage_state is None:
        return
    from playwright.async_api import Error

    try:
        await context.set_storage_state(json.loads(settings.storage_state.get_secret_value()))
    except (ValueError, TypeError, KeyError, AttributeError, Error):  # their words may quote the session
        raise unavailable("`browser.storageState` is no stored session of Playwright's: run `earshot login`.") from None


def _devices(folder: Path) -> list[str]:
    return [
        f"--use-file-for-fake-audio-capture={folder / 'silence.wav'}",
        f"--use-file-for-fake-video-capture={folder / 'black.y4m'}",
    ]


def _make_devices(folder: Path) -> None:
    with wave.open(str(folder / "silence.wav"), "wb") as silence:
        silence.setnchannels(1)
        silence.setsampwidth(2)
        silence.setframerate(SAMPLE_RATE)
        silence.writeframes(bytes(2 * SAMPLE_RATE))
    black = bytes([16]) * (160 * 120) + bytes([128]) * (2 * 80 * 60)
    (folder / "black.y4m").write_bytes(b"YUV4MPEG2 W160 H120 F1:1 Ip A1:1 C420jpeg\nFRAME\n" + black)


# --- the folder, and what runs in it


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A disk that is full or read-only is no bug of ours."""
    try:
        yield
    except OSError as error:
        raise unavailable(NO_FOLDER.format(error.strerror)) from None


@asynccontextmanager
async def own_folder() -> AsyncIterator[Path]:
    """A folder for one Chromium; at the end it is gone, and so are all processes that have it for temporary files.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE: none can be made.
    """
    with _folder() as folder:
        try:
            yield folder
        finally:
            await _kill(folder)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with _told():
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with _told():
            lock = (folder / "lock.new").open("wb")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "lock.new").rename(folder / "lock")  # what others see is locked already
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Removes what killed bots have left: processes that run in their folders, and the folders."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            if folder.stat().st_uid != os.geteuid():
                continue
            with (folder / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:  # another bot is just making, or sweeping it
            continue
        except OSError:  # its bot lives
            continue
        _kill_now(folder)
        shutil.rmtree(folder, ignore_errors=True)
        log.info("browser_swept", folder=folder.name)


def processes(folder: Path) -> set[int]:
    """Chromium's processes and its driver's that run in the folder, and all below them."""
    found: set[int] = set()
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = _parent(int(entry.name))
            if _runs_in(entry, folder):
                found.add(int(entry.name))
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    grew = True
    while grew:
        below = {process for process, parent in parents.items() if parent in found} - found
        found |= below
        grew = bool(below)
    return found - {os.getpid()}


def _runs_in(process: Path, folder: Path) -> bool:
    """By its command line or temporary folder; a renderer, which may have lost its parents, by a file that it shares.

    (One that is sandboxed shows none, and needs none: the kernel ends its namespace with its first process.)
    """
    command = (process / "cmdline").read_bytes()
    if b"--type=renderer" in command:
        return any(str(folder) in os.readlink(opened) for opened in (process / "fd").iterdir())
    return (
        f"--user-data-dir={folder}".encode() in command
        or f"TMPDIR={folder}".encode() in (process / "environ").read_bytes()
    )


async def _kill(folder: Path) -> None:
    """Kills what is left in the folder, and waits until it is gone, our own child (the driver) reaped. Cancelled, it
    waits for nothing, and kills all the same: with the folder gone, no sweep would find them."""
    deadline = asyncio.get_running_loop().time() + KILL_TIMEOUT_S
    killed: set[int] = set()
    try:
        while (left := await asyncio.to_thread(_kill_now, folder)) or any(map(_is_child, killed)):
            killed |= left
            if asyncio.get_running_loop().time() > deadline:
                log.warning("browser_processes_left", processes=len(left))
                return
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        _kill_now(folder)
        raise


def _kill_now(folder: Path) -> set[int]:
    """Returns whom."""
    left = processes(folder)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return left


def _is_child(process: int) -> bool:
    with contextlib.suppress(OSError):
        return _parent(process) == os.getpid()
    return False


def _parent(process: int) -> int:
    """Raises OSError: it is gone."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def is_confined(folder: Path) -> bool:
    """Whether each renderer is confined by a sandbox of its own."""
    renderers = []
    for process in processes(folder):
        with contextlib.suppress(OSError):
            if b"--type=renderer" in Path("/proc", str(process), "cmdline").read_bytes():
                renderers.append(confinement(Path("/proc", str(process), "status").read_text(encoding="utf-8")))
    ours = confinement(Path("/proc/self/status").read_text(encoding="utf-8"))
    return bool(renderers) and all(is_sandboxed(renderer, ours) for renderer in renderers)
