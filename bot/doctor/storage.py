"""The check of Redis: what a bot writes can be written, will survive a crash, and its clock is ours."""

from __future__ import annotations

import time
from uuid import uuid4

import redis.exceptions as errors

from bot.doctor.findings import Finding, Verdict
from bot.links.redis.link import RedisLink
from common.contracts import keys
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redis import FAILURES, address, connect, explain

FLUSH_TIMEOUT_S = 5.0
MAX_CLOCK_OFFSET_S = 2.0


async def storage(url: str) -> list[Finding]:
    """Writes as a bot does, under an id of its own that it takes away again; then asks how safe that would be."""
    subject, where = "redis write", address(url)
    doctor = f"earshot-doctor-{uuid4()}"
    link = RedisLink(url, doctor, doctor)
    began = time.monotonic()
    try:
        await link.open()
    except EarshotError as error:
        return [Finding(subject, Verdict.FAILS, str(error), "see `redisUrl`; its rights: docs/redis.md", error.code)]
    try:
        link.status({"event": "doctor"})
        try:
            await link.store_now()
        except FAILURES as error:
            why = f"{where} takes connections and nothing that is written: {explain(error)}"
            remedy = "see docs/redis.md for the rights that a bot needs, and `maxmemory`"
            return [Finding(subject, Verdict.FAILS, why, remedy, SubCode.REDIS_UNREACHABLE)]
        took = (time.monotonic() - began) * 1000
        stored = Finding(subject, Verdict.WORKS, f"{where}: a status event is stored as a bot would ({took:.0f} ms)")
        return [stored, *await _state(url, link.durable)]
    finally:
        await link.close()
        await _clean_up(url, doctor)


async def _state(url: str, durable: bool) -> list[Finding]:
    """Durability, what becomes of a full memory, and the clock."""
    findings = [
        Finding("redis durability", Verdict.WORKS, "an append-only file is written")
        if durable
        else Finding(
            "redis durability", Verdict.DOUBTFUL,
            "no append-only file (or INFO is forbidden): a crash of Redis loses all",
            "`appendonly yes` and `appendfsync everysec`, as in configs/redis.conf",
        )
    ]  # fmt: skip
    client = connect(url)
    try:
        memory = await client.info("memory")
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if memory.get("maxmemory") and policy != "noeviction":
            detail = f"`maxmemory-policy {policy}`: a full Redis throws transcripts away"
            findings.append(Finding("redis memory", Verdict.DOUBTFUL, detail, "`maxmemory-policy noeviction`"))
        before = time.time()
        seconds, microseconds = await client.time()
        after = time.time()
        findings.append(_clock(seconds + microseconds / 1e6 - (before + after) / 2))
    except errors.NoPermissionError:  # not among the rights that a bot needs
        findings.append(Finding("clock", Verdict.SKIPPED, "our user may not ask (`+info +time`); a bot does without"))
    except errors.RedisError as error:
        findings.append(Finding("clock", Verdict.SKIPPED, f"Redis does not say what time it is: {explain(error)}"))
    finally:
        await client.aclose()
    return findings


def _clock(offset: float) -> Finding:
    """`offset`: seconds by which Redis is ahead of us."""
    if abs(offset) <= MAX_CLOCK_OFFSET_S:
        return Finding("clock", Verdict.WORKS, f"{abs(offset):.1f} s from that of Redis")
    way = "behind" if offset > 0 else "ahead of"
    detail = f"{abs(offset):.1f} s {way} that of Redis: absolute times in transcripts are off by as much"
    return Finding("clock", Verdict.DOUBTFUL, detail, "run a time service (NTP) on both machines")


async def _clean_up(url: str, doctor: str) -> None:
    """What we wrote would expire in a day; why wait."""
    client = connect(url)
    written = [
        *(keys.segment_sequence(doctor), keys.segment_fence(doctor)),
        *(keys.status_stream(doctor), keys.status_sequence(doctor), keys.status_fence(doctor)),
    ]
    try:
        for key in written:
            await client.delete(key)
    except FAILURES:
        pass
    finally:
        await client.aclose()
