"""Chromium's sandbox, checked: `python -m bot.drivers.browser.sandbox`, in the container as the bot will run.

Loads a local page and looks at the process that rendered it, from the outside: it must be in a PID namespace of its own
and under one more seccomp filter than we are (a container's own filter does not count). Without a working sandbox
Chromium does not start, and this says what to change; only `--allow-no-sandbox` starts it without.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

CHROMIUM_VARIABLE = "EARSHOT_CHROMIUM"
PAGE = "<title>page</title><script>document.title = 'rendered ' + 6 * 7</script>"
ADVICE = (
    "Chromium did not start with its sandbox. It needs a kernel with user namespaces and, in Docker, "
    "--security-opt seccomp=docker/seccomp-chromium.json and a writable /tmp; see docs/deploy.md. "
    "--allow-no-sandbox starts it without: then a page that breaks out of the browser has the container."
)


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
    """Reads the text of `/proc/PID/status` (proc_pid_status(5))."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return Confinement(
        pid=int(fields["Pid"]),
        pid_namespaces=len(fields["NSpid"].split()),
        seccomp_filters=int(fields["Seccomp_filters"]),
        capabilities=int(fields["CapEff"], 16),
    )


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


async def check(allow_no_sandbox: bool) -> int:
    """Prints what was found as one JSON object. Returns 0: confined, or allowed not to be; 1: not."""
    from playwright.async_api import Error, async_playwright

    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=os.environ.get(CHROMIUM_VARIABLE),
                chromium_sandbox=not allow_no_sandbox,
                args=["--disable-gpu"],
            )
        except Error as error:
            reasons = [line.strip() for line in str(error).splitlines() if "FATAL" in line or "sandbox" in line.lower()]
            sys.stderr.write(f"{ADVICE}\n{reasons[0] if reasons else str(error).splitlines()[0]}\n")
            return 1
        page = await browser.new_page()
        await page.set_content(PAGE)
        title, ours, renderers = await page.title(), _confinement_of("self"), _renderers()
        version = browser.version
        await browser.close()
    confined = bool(renderers) and all(is_sandboxed(renderer, ours) for renderer in renderers)
    report = {"chromium": version, "title": title, "sandboxed": confined, "ours": asdict(ours)}
    sys.stdout.write(json.dumps({**report, "renderers": [asdict(renderer) for renderer in renderers]}) + "\n")
    return 0 if title == "rendered 42" and (confined or allow_no_sandbox) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(check("--allow-no-sandbox" in sys.argv[1:])))
