"""Evidence into S3-compatible storage: an HTTP PUT for each file, all of them within a time."""

from __future__ import annotations

import hashlib
import time
from asyncio import timeout
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import structlog

from bot.answers import answer_of, authorities
from bot.signatures import UNRESERVED, signed_headers
from common.problems import reason

if TYPE_CHECKING:
    from bot.drivers.browser.settings import BrowserSettings

UPLOAD_S = 5.0
"""For all files of one failure."""

log = structlog.get_logger(__name__)


async def upload(settings: BrowserSettings, files: Mapping[str, bytes]) -> list[str]:
    """Sends the files, by name, as `browser.evidence…` says; returns the URLs of those that are there."""
    access, secret = settings.evidence_access_key, settings.evidence_secret_key
    if access is None or secret is None:
        return []
    sent: list[str] = []
    verify = authorities() if str(settings.evidence_url).startswith("https:") else False
    try:
        async with timeout(UPLOAD_S), httpx.AsyncClient(trust_env=False, verify=verify, timeout=None) as client:
            for name, content in files.items():
                url = f"{settings.evidence_url}/{quote(name, safe=UNRESERVED)}"
                headers = signed_headers(
                    "PUT",
                    url,
                    hashlib.sha256(content).hexdigest(),
                    region=settings.evidence_region,
                    access_key=access.get_secret_value(),
                    secret_key=secret.get_secret_value(),
                    now=time.time(),
                )
                answer = await answer_of(client, "PUT", url, seconds=UPLOAD_S, most=0, content=content, headers=headers)
                if not answer.is_success:
                    log.warning("evidence.not_sent", url=settings.evidence_url, status=answer.status_code)
                    break
                sent.append(url)
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        log.warning("evidence.not_sent", url=settings.evidence_url, error=reason(error) or type(error).__name__)
    return sent
