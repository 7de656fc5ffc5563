"""Storage of evidence in the bucket for files: an HTTP PUT for each, all of them within a time."""

from __future__ import annotations

import hashlib
import time
from asyncio import timeout
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx
import structlog

from bot.answers import answer_of, authorities
from bot.signatures import Bucket
from common.problems import reason

if TYPE_CHECKING:
    from bot.settings import ObjectStoreSettings

FOLDER = "evidence"
"""In the bucket, which may have recordings, too."""
UPLOAD_S = 5.0
"""For all files of one failure."""

log = structlog.get_logger(__name__)


async def upload(store: ObjectStoreSettings, files: Mapping[str, bytes]) -> list[str]:
    """Sends the files, by name; returns the URLs of those that are there."""
    bucket = Bucket(**store.parts())
    sent: list[str] = []
    verify = authorities() if bucket.endpoint.startswith("https:") else False
    try:
        async with timeout(UPLOAD_S), httpx.AsyncClient(trust_env=False, verify=verify, timeout=None) as client:
            for name, content in files.items():
                url = bucket.url(f"{FOLDER}/{name}")
                headers = bucket.signed("PUT", url, hashlib.sha256(content).hexdigest(), time.time())
                answer = await answer_of(client, "PUT", url, seconds=UPLOAD_S, most=0, content=content, headers=headers)
                if not answer.is_success:
                    log.warning("evidence.not_sent", url=url, status=answer.status_code)
                    break
                sent.append(url)
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        log.warning("evidence.not_sent", url=store.endpoint, error=reason(error) or type(error).__name__)
    return sent
