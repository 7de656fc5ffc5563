"""Files into S3-compatible storage: an HTTP PUT each, signed as AWS Signature Version 4 wants it.

Source: AWS documentation, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)". A client
library would be 20 MB for this one request.
"""

from __future__ import annotations

import hashlib
import hmac
from asyncio import timeout
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import structlog

from common.problems import reason

if TYPE_CHECKING:
    from bot.drivers.browser.settings import BrowserSettings

UPLOAD_S = 5.0
"""For all files of one failure."""
UNRESERVED = "-_.~"
"""Beside letters and digits; RFC 3986."""

log = structlog.get_logger(__name__)


async def upload(settings: BrowserSettings, files: Mapping[str, bytes]) -> list[str]:
    """Sends the files, by name, as `browser.evidence…` says; returns the URLs of those that are there."""
    access, secret = settings.evidence_access_key, settings.evidence_secret_key
    if access is None or secret is None:
        return []
    sent: list[str] = []
    try:
        async with timeout(UPLOAD_S), httpx.AsyncClient(trust_env=False, timeout=None) as client:
            for name, content in files.items():
                url = f"{settings.evidence_url}/{quote(name, safe=UNRESERVED)}"
                headers = signed_headers(
                    "PUT",
                    url,
                    content,
                    region=settings.evidence_region,
                    access_key=access.get_secret_value(),
                    secret_key=secret.get_secret_value(),
                    at=datetime.now(UTC),
                )
                answer = await client.put(url, content=content, headers=headers)
                if not answer.is_success:
                    log.warning("evidence.not_sent", url=settings.evidence_url, status=answer.status_code)
                    break
                sent.append(url)
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        log.warning("evidence.not_sent", url=settings.evidence_url, error=reason(error) or type(error).__name__)
    return sent


def signed_headers(
    method: str,
    url: str,
    content: bytes,
    *,
    region: str,
    access_key: str,
    secret_key: str,
    at: datetime,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All headers of a request, its signature among them.

    Args:
        method: Of HTTP.
        url: With a path that is quoted already.
        content: The whole body.
        region: That the storage says it is in; most stand-ins of AWS take any.
        access_key: Whose key.
        secret_key: The key.
        at: When, UTC; storages refuse what is minutes off.
        headers: More of them, which are signed too.
    """
    parts, body = urlsplit(url), hashlib.sha256(content).hexdigest()
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    sent = {name.lower(): value.strip() for name, value in (headers or {}).items()}
    sent |= {"host": parts.netloc, "x-amz-content-sha256": body, "x-amz-date": stamp}
    names = ";".join(sorted(sent))
    query = "&".join(
        f"{quote(key, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}"
        for key, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    lines = [f"{name}:{sent[name]}" for name in sorted(sent)]
    request = "\n".join([method, parts.path or "/", query, *lines, "", names, body])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    given = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "authorization": given}
