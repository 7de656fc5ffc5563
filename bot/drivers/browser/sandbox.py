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
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

CHROMIUM_VARIABLE = "EARSHOT_CHROMIUM"
PAGE = "<title>page</title><script>document.title = 'rendered ' + 6 * 7</script>"
NO_PLAYWRIGHT = "Playwright is not installed: pip install 'earshot[browser]', or use the image earshot/bot."
NO_CHROMIUM = (
    f"There is no Chromium to start. Name one in {CHROMIUM_VARIABLE}, or `playwright install chromium`, or use the "
    "image earshot/bot."
)
NO_PAGE = "Chromium started and did not show a page. In Docker it needs --shm-size 1g and a writable /tmp."
ADVICE = (
    "Chromium did not start with its sandbox. It needs a kernel with user namespaces and, in Docker, "
    "--security-opt seccomp=docker/seccomp-chromium.json and a writable /tmp; see docs/deploy.md. "
    "--allow-no-sandbox starts it without: then a page that breaks out of the browser has the container."
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
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                found.append(_confinement_of(process.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def not_started(said: str, allow_no_sandbox: bool) -> SandboxError:
    """What Playwright's words about a browser that did not start mean for people."""
    first = said.partition("\n")[0].removeprefix("BrowserType.launch: ")
    if re.search("executable doesn't exist|ENOENT|EACCES|ENOEXEC", said, re.IGNORECASE):
        return SandboxError(f"{NO_CHROMIUM}\n{first}")
    from_browser = re.findall(r"\[err\] (.*)", said)
    words = [line for line in from_browser if re.search("FATAL|sandbox|namespace", line)] or from_browser or [first]
    if allow_no_sandbox or "error while loading shared libraries" in words[0]:
        return SandboxError(f"{NO_START}\n{words[0]}")
    return SandboxError(f"{ADVICE}\n{words[0]}", 1)


async def check(allow_no_sandbox: bool) -> int:
    """Prints what was found as one JSON object. Returns 0: confined, or allowed not to be; 1: not.

    Raises:
        SandboxError: Chromium does not start, or shows nothing.
    """
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError:
        raise SandboxError(NO_PLAYWRIGHT) from None
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=os.environ.get(CHROMIUM_VARIABLE),
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
    report = {"chromium": version, "title": title, "sandboxed": confined, "ours": asdict(ours)}
    sys.stdout.write(json.dumps({**report, "renderers": [asdict(renderer) for renderer in renderers]}) + "\n")
    return 0 if title == "rendered 42" and (confined or allow_no_sandbox) else 1


def main() -> int:
    """The command described in this module's docstring; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot.drivers.browser.sandbox")
    parser.add_argument("--allow-no-sandbox", action="store_true", help="start Chromium without, and say so")
    try:
        return asyncio.run(check(parser.parse_args().allow_no_sandbox))
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
