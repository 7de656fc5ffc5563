"""The examination of one configuration: all checks, most of them at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace

from bot.config import BotConfig
from bot.doctor.files import files
from bot.doctor.findings import Finding, Verdict
from bot.doctor.network import names, reach
from bot.doctor.speech import SPOKEN, speech
from bot.doctor.storage import storage
from bot.drivers.browser.launch import own_folder
from bot.drivers.browser.sandbox import FULL_CHROMIUM
from bot.platforms import load, prepare
from bot.platforms.pages import PagePlatform
from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError
from common.interpreter import module_command

BROWSER_TIMEOUT_S = 40.0
TRANSCRIBER_CODES = (SubCode.TRANSCRIBER_UNREACHABLE, SubCode.TRANSCRIBER_REFUSED, SubCode.NOT_A_TRANSCRIBER)


async def examine(config: BotConfig, warnings: Sequence[str]) -> list[Finding]:
    """Tries everything that this configuration names; within about a minute and a half. Joins nothing."""
    redis = config.redis_url.get_secret_value()
    callbacks = [
        (name, url)
        for name, url in (
            ("botManagerCallbackUrl", config.bot_manager_callback_url),
            ("meetingApiCallbackUrl", config.meeting_api_callback_url),
        )
        if url is not None
    ]
    key = config.transcriber_api_key.get_secret_value() if config.transcriber_api_key else None
    hosts = [
        ("redisUrl", redis, SubCode.REDIS_UNREACHABLE),
        *(("whisperLiveUrl", url, SubCode.TRANSCRIBER_UNREACHABLE) for url in config.transcriber_urls),
        *((name, url, SubCode.CALLBACK_UNREACHABLE) for name, url in callbacks),
        ("meetingUrl", _meeting(config) or "", SubCode.ROOM_UNREACHABLE),
    ]
    groups = await asyncio.gather(
        names(hosts),
        storage(redis),
        *(speech(url, key) for url in config.transcriber_urls),
        _room(config),
        *(_callback(name, url) for name, url in callbacks),
        *(_beside(*other) for other in load(config.platform).neighbours(config.invitation())),
        _browser(config),
        files(config),
    )
    found = [finding for group in groups for finding in group]
    return [_configuration(warnings), *_forgiving(found)]


def _forgiving(findings: Sequence[Finding]) -> list[Finding]:
    """A transcriber that fails beside one that understands is no end of a bot, only of its failover."""
    usable = (Verdict.WORKS, Verdict.DOUBTFUL)
    if not any(finding.subject == SPOKEN and finding.verdict in usable for finding in findings):
        return list(findings)
    return [
        replace(finding, verdict=Verdict.DOUBTFUL)
        if finding.verdict is Verdict.FAILS and finding.code in TRANSCRIBER_CODES
        else finding
        for finding in findings
    ]


def _configuration(warnings: Sequence[str]) -> Finding:
    if not warnings:
        return Finding("configuration", Verdict.WORKS, "no errors, no warnings")
    return Finding("configuration", Verdict.DOUBTFUL, f"{len(warnings)} warnings", " · ".join(warnings))


def _meeting(config: BotConfig) -> str | None:
    """The URL that is connected to from here, to join; None: there is none."""
    platform = load(config.platform)
    if platform.opens_page and config.browser.proxy is not None:
        return None
    return platform.page_url(config.invitation()) if isinstance(platform, PagePlatform) else config.meeting_url


async def _room(config: BotConfig) -> list[Finding]:
    platform = load(config.platform)
    try:
        await prepare(config.platform, platform)
        if (words := await platform.try_out(config.invitation())) is not None:
            return [Finding("meeting", Verdict.WORKS, words)]
    except EarshotError as error:
        verdict = Verdict.DOUBTFUL if error.code is SubCode.MEETING_NOT_STARTED else Verdict.FAILS
        return [Finding("meeting", verdict, str(error), MEANINGS[error.code].remedy, error.code)]
    url = _meeting(config)
    if url is None:
        by_proxy = config.browser.proxy is not None
        why = "it is reached through `browser.proxy`" if by_proxy else f"{config.platform} finds it without a URL"
        return [Finding("meeting", Verdict.SKIPPED, why)]
    remedy = "check `meetingUrl`, that its server runs, and the way to it from this network"
    return [await reach("meeting", url, SubCode.ROOM_UNREACHABLE, remedy)]


async def _callback(name: str, url: str) -> list[Finding]:
    return [await reach(name, url, SubCode.CALLBACK_UNREACHABLE, f"check `{name}`, and that its service is up")]


async def _beside(name: str, url: str, code: SubCode | None) -> list[Finding]:
    """What the platform needs beside the meeting's server."""
    found = await reach(name, url, code or SubCode.INTERNAL_ERROR, f"check `{name}`, and that its service is up")
    if code is None and found.verdict is Verdict.FAILS:
        return [replace(found, verdict=Verdict.DOUBTFUL, code=None)]
    return [found]


async def _browser(config: BotConfig) -> list[Finding]:
    """Whether the Chromium of this configuration starts, in its sandbox unless it may do without."""
    if not load(config.platform).opens_page:
        return [Finding("browser", Verdict.SKIPPED, f"{config.platform} needs none")]
    browser = config.browser
    arguments = ["--headless", browser.headless]
    arguments += [] if browser.executable is None else [f"--executable={browser.executable}"]
    arguments += ["--allow-no-sandbox"] if browser.allow_no_sandbox else []
    try:
        code, told, said = await _check_browser(arguments)
    except EarshotError as error:
        code, told, said = 1, "", str(error)
    if code == 0:
        doubts = []
        if browser.allow_no_sandbox:
            words = "Chromium starts, and may do without its sandbox"
            doubts.append(Finding("browser", Verdict.DOUBTFUL, words, "do without `browser.allowNoSandbox`"))
        if browser.headless == "new" and json.loads(told)["shell"]:
            words = "Chromium starts, and it is the headless shell although `browser.headless` is `new`"
            doubts.append(Finding("browser", Verdict.DOUBTFUL, words, FULL_CHROMIUM))
        return doubts or [Finding("browser", Verdict.WORKS, "Chromium starts, and its sandbox holds")]
    why = said.strip() or "Chromium's renderers are not confined"
    remedy = "see docs/browser.md; in a container docs/deploy.md, Hardening"
    return [Finding("browser", Verdict.FAILS, why, remedy, SubCode.BROWSER_UNAVAILABLE)]


async def _check_browser(arguments: Sequence[str]) -> tuple[int, str, str]:
    """The exit code of the check, and what it said on stdout and stderr. Raises EarshotError: there is no folder."""
    async with own_folder() as folder:  # a Chromium that hangs, and its driver, end with it
        process = await asyncio.create_subprocess_exec(
            *module_command("bot.drivers.browser.sandbox", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        try:
            async with asyncio.timeout(BROWSER_TIMEOUT_S):
                told, said = await process.communicate()
        except TimeoutError:
            return 1, "", f"no answer within {BROWSER_TIMEOUT_S:g} s"
    return await process.wait(), told.decode(errors="replace"), said.decode(errors="replace")
