"""Chromium's sandbox, checked: `python -m bot.drivers.browser.sandbox`, in the container as the bot will run.

Loads a local page and looks at the process that rendered it, from the outside: it must be in a PID namespace of its own
and under one more seccomp filter than we are (a container's own filter does not count). Without a working sandbox
Chromium does not start, and this says what to change; only `--allow-no-sandbox` starts it without.

Exit codes: 0 confined, or allowed not to be · 1 not confined · 2 it cannot be checked here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.installed import how_to_install

if TYPE_CHECKING:
    from bot.drivers.browser.settings import Headless

CHROMIUM_VARIABLE = "EARSHOT_CHROMIUM"
PAGE = "<title>page</title><script>document.title = 'rendered ' + 6 * 7</script>"
NO_PLAYWRIGHT = f"Playwright is not installed: {how_to_install('browser')}, or use the image earshot/bot."
NO_CHROMIUM = (
    "There is no Chromium to start. `apt install chromium-headless-shell` (Debian), `playwright install chromium`, "
    f"name one in `browser.executable` or {CHROMIUM_VARIABLE}, or use the image earshot/bot."
)
ROOT = (
    "Chromium's sandbox does not run as root: start the bot as a normal user (the image does), or set "
    "`browser.allowNoSandbox` (of a command `--allow-no-sandbox`), and a page that breaks out of the browser has what "
    "the bot has."
)
FULL_CHROMIUM = "`apt install chromium`, and name no headless shell in `browser.executable` or EARSHOT_CHROMIUM"
"""What to do where the headless shell is found in its place."""
NO_WINDOW = "{} is Chromium's headless shell, which has no window: name the full Chromium in EARSHOT_CHROMIUM."
NO_SCREEN = "Chromium's window needs a screen, and there is none: neither DISPLAY nor WAYLAND_DISPLAY leads to one."
NO_PAGE = "Chromium started and did not show a page. In Docker it needs memory and a writable /tmp (--tmpfs /tmp)."
ADVICE = (
    "Chromium did not start with its sandbox. It needs a kernel with user namespaces and, in Docker, "
    "--security-opt seccomp=docker/seccomp-chromium.json and a writable /tmp; see docs/deploy.md. "
    "`browser.allowNoSandbox` (of a command `--allow-no-sandbox`) starts it without: then a page that breaks out of "
    "the browser has the container."
)
NO_START = "Chromium does not start, and not because of its sandbox."


class SandboxError(Exception):
    """The check ends here: what is missing and what to do, and the exit code."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the kernel says about one process."""

    pid: int
    pid_namespaces: int
    """How many it is in, one inside the other, as seen from ours (1: ours only)."""
    seccomp_filters: int
    capabilities: int
    """Effective ones, as a bit set."""


PROGRAMS: dict[Headless, tuple[str, ...]] = {
    "shell": ("chromium-headless-shell", "chromium"),
    "new": ("chromium", "chromium-headless-shell"),
    "window": ("chromium",),
}
"""Names on the path, the best first: the shell has no window, and the full Chromium costs twice its memory."""


def find_chromium(named: str | None, playwrights: str, headless: Headless = "shell") -> str | None:
    """Path of the Chromium to start: the one that is named, else the system's; None: Playwright's own.

    Args:
        named: By a setting; it goes before the environment.
        playwrights: Where Playwright would have its own: `…/chromium-1255/chrome-linux64/chrome`.
        headless: How it is to run.
    """
    if path := named or os.environ.get(CHROMIUM_VARIABLE):
        return path
    folder = Path(playwrights).parents[1]
    shell = folder.with_name(folder.name.replace("chromium", "chromium_headless_shell", 1))
    if folder.is_dir() or (headless == "shell" and shell.is_dir()):
        return None
    return next(filter(None, map(shutil.which, PROGRAMS[headless])), None)


def is_shell(executable: str | None) -> bool:
    """Whether a program is Chromium's headless shell, by its name; None: Playwright's own, which is not asked for."""
    return executable is not None and re.search("headless.shell", Path(executable).resolve().name) is not None


def no_window(headless: Headless, executable: str | None) -> str | None:
    """Why there can be no window: one that nobody sees would be waited for. None: there can, or none is wanted."""
    if headless != "window":
        return None
    if is_shell(executable):
        return NO_WINDOW.format(executable)
    return None if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else NO_SCREEN


def launch_options(headless: Headless, executable: str | None) -> dict[str, Any]:
    """Playwright's options for which Chromium runs, and how."""
    return {
        "executable_path": executable,
        "channel": "chromium" if headless == "new" and executable is None else None,
        "headless": headless != "window",
    }


def confinement(status: str) -> Confinement:
    """Reads the text of `/proc/PID/status` (proc_pid_status(5)). Raises SandboxError."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    try:
        return Confinement(
            pid=int(fields["Pid"]),
            pid_namespaces=len(fields["NSpid"].split()),
            seccomp_filters=int(fields["Seccomp_filters"]),
            capabilities=int(fields["CapEff"], 16),
        )
    except KeyError as error:
        raise SandboxError(f"This kernel does not say {error} of a process: Linux 5.9 or a later one does.") from None


def is_sandboxed(renderer: Confinement, ours: Confinement) -> bool:
    """Whether the renderer is confined beyond what holds for us too."""
    return renderer.pid_namespaces > ours.pid_namespaces and renderer.seccomp_filters > ours.seccomp_filters


def _confinement_of(process: str) -> Confinement:
    return confinement(Path("/proc", process, "status").read_text(encoding="utf-8"))


def _renderers() -> list[Confinement]:
    """Of our own Chromium alone: another one on this machine says nothing of it."""
    found = []
    for process in _below(os.getpid()):
        try:
            if b"--type=renderer" in Path("/proc", process, "cmdline").read_bytes():
                found.append(_confinement_of(process))
        except OSError:  # it has ended meanwhile
            continue
    return found


def _below(process: int) -> list[str]:
    """All processes that a process has started, and those that they have."""
    children: dict[str, list[str]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(parent, []).append(entry.name)
    found = list(children.get(str(process), []))
    for one in found:  # grows meanwhile
        found += children.get(one, [])
    return found


def not_started(said: str, allow_no_sandbox: bool) -> SandboxError:
    """What Playwright's words about a browser that did not start mean for people."""
    first = said.partition("\n")[0].removeprefix("BrowserType.launch: ")
    if re.search("executable doesn't exist|ENOENT|EACCES|ENOEXEC", said, re.IGNORECASE):
        return SandboxError(f"{NO_CHROMIUM}\n{first}")
    if re.search(r"missing X server|cannot open display|without having a XServer", said, re.IGNORECASE):
        return SandboxError(NO_SCREEN)
    from_browser = re.findall(r"\[err\] (.*)", said)
    words = [line for line in from_browser if re.search("FATAL|sandbox|namespace", line)] or from_browser or [first]
    if allow_no_sandbox or "error while loading shared libraries" in words[0]:
        return SandboxError(f"{NO_START}\n{words[0]}")
    return SandboxError(f"{ADVICE}\n{words[0]}", 1)


async def check(allow_no_sandbox: bool, executable: str | None = None, headless: Headless = "shell") -> int:
    """Prints what was found as one JSON object. Returns 0: confined, or allowed not to be; 1: not.

    Args:
        allow_no_sandbox: It is started without.
        executable: Path of Chromium; None: see `find_chromium`.
        headless: As in `browser.headless`.

    Raises:
        SandboxError: Chromium does not start, or shows nothing.
    """
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError:
        raise SandboxError(NO_PLAYWRIGHT) from None
    if os.geteuid() == 0 and not allow_no_sandbox:
        raise SandboxError(ROOT, 1)
    async with async_playwright() as playwright:
        executable = find_chromium(executable, playwright.chromium.executable_path, headless)
        if (why := no_window(headless, executable)) is not None:
            raise SandboxError(why)
        try:
            browser = await playwright.chromium.launch(
                **launch_options(headless, executable),
                chromium_sandbox=not allow_no_sandbox,
                args=["--disable-gpu"],
            )
        except Error as error:
            raise not_started(str(error), allow_no_sandbox) from None
        try:
            page = await browser.new_page()
            await page.set_content(PAGE)
            title, ours, renderers = await page.title(), _confinement_of("self"), _renderers()
            version = browser.version
            await browser.close()
        except Error as error:
            raise SandboxError(f"{NO_PAGE}\n{str(error).partition(chr(10))[0]}") from None
    confined = bool(renderers) and all(is_sandboxed(renderer, ours) for renderer in renderers)
    report = {
        "chromium": version,
        "shell": is_shell(executable),
        "title": title,
        "sandboxed": confined,
        "ours": asdict(ours),
        "renderers": [asdict(renderer) for renderer in renderers],
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0 if title == "rendered 42" and (confined or allow_no_sandbox) else 1


def main() -> int:
    """The command described in this module's docstring; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot.drivers.browser.sandbox")
    parser.add_argument("--allow-no-sandbox", action="store_true", help="start Chromium without, and say so")
    parser.add_argument("--executable", metavar="PATH", help="Chromium, as in `browser.executable`")
    parser.add_argument("--headless", choices=PROGRAMS, default="shell", help="as `browser.headless`")
    given = parser.parse_args()
    try:
        return asyncio.run(check(given.allow_no_sandbox, given.executable, given.headless))
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
