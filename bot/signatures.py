"""Signatures of AWS, version 4, for requests to buckets of S3's protocol. A client library would be 20 MB for this.

Source: AWS documentation, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

UNRESERVED = "-_.~"
"""Beside letters and digits, what stays as it is in a path and a query; RFC 3986."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where files go, and with whose rights.

    Args:
        endpoint: http(s)://host[:port] of the service.
        name: Of the bucket.
        access_key: Its id.
        secret_key: What belongs to it.
        region: As the service wants it signed; most that are not AWS take any.
        prefix: Goes before every key.
    """

    endpoint: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    prefix: str = ""

    def url(self, key: str) -> str:
        """Where a key is, with the bucket in the path, which every service understands."""
        parts = [self.name, *self.prefix.split("/"), *key.split("/")]
        return f"{self.endpoint.rstrip('/')}/{'/'.join(quote(part, safe=UNRESERVED) for part in parts if part)}"

    def signed(
        self, method: str, url: str, digest: str, now: float, headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:  # fmt: skip
        """The headers of a request, with our rights: see `signed_headers`."""
        return signed_headers(
            *(method, url, digest),
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            now=now,
            headers=headers,
        )


def signed_headers(
    method: str,
    url: str,
    digest: str,
    *,
    region: str,
    access_key: str,
    secret_key: str,
    now: float,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All headers of a request, its signature among them.

    Args:
        method: Of HTTP.
        url: Its path as it is sent, percent-encoded.
        digest: SHA-256 of the body, hexadecimal.
        region: As the service wants it signed; most that are not AWS take any.
        access_key: Id of the key.
        secret_key: What belongs to it.
        now: Unix seconds; services refuse what is 15 minutes off.
        headers: What is sent beside; all of it is signed but `content-length`.
    """
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    sent = {name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()}
    sent |= {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed = sorted(sent.keys() - {"content-length"})
    query = "&".join(
        f"{quote(key, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}"
        for key, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    names = ";".join(signed)
    lines = [f"{name}:{sent[name]}" for name in signed]
    request = "\n".join([method, parts.path or "/", query, *lines, "", names, digest])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    given = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "authorization": given}
