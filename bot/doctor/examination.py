"""All checks of one configuration, most of them at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace

from bot.config import BotConfig
from bot.doctor.findings import Finding, Verdict
from bot.doctor.network import names, reach
from bot.doctor.speech import SPOKEN, speech
from bot.doctor.storage import storage
from bot.drivers.browser.sandbox import CHROMIUM_VARIABLE
from common.contracts.status import SubCode
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
        ("meetingUrl", config.meeting_url or "", SubCode.ROOM_UNREACHABLE),
    ]
    groups = await asyncio.gather(
        names(hosts),
        storage(redis),
        *(speech(url, key) for url in config.transcriber_urls),
        _room(config),
        *(_callback(name, url) for name, url in callbacks),
        _browser(config.platform),
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


async def _room(config: BotConfig) -> list[Finding]:
    if config.meeting_url is None:
        return [Finding("meeting", Verdict.SKIPPED, f"{config.platform} finds it without a URL")]
    remedy = "check `meetingUrl`, and the way out of this network"
    return [await reach("meeting", config.meeting_url, SubCode.ROOM_UNREACHABLE, remedy)]


async def _callback(name: str, url: str) -> list[Finding]:
    return [await reach(name, url, SubCode.CALLBACK_UNREACHABLE, f"check `{name}`, and that its service is up")]


async def _browser(platform: str) -> list[Finding]:
    """Whether Chromium starts in its sandbox, where there is one: in the image earshot/bot."""
    if not os.environ.get(CHROMIUM_VARIABLE):
        return [Finding("browser", Verdict.SKIPPED, f"{CHROMIUM_VARIABLE} names none; {platform} needs none")]
    process = await asyncio.create_subprocess_exec(
        *module_command("bot.drivers.browser.sandbox"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(BROWSER_TIMEOUT_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        said = f"no answer within {BROWSER_TIMEOUT_S:g} s".encode()
    if process.returncode == 0:
        return [Finding("browser", Verdict.WORKS, "Chromium starts, and its sandbox holds")]
    why = said.decode(errors="replace").strip()
    return [Finding("browser", Verdict.FAILS, why, "see docs/deploy.md, Hardening", SubCode.INTERNAL_ERROR)]
