"""Object store: files to a bucket of S3, or of what speaks its protocol (MinIO, Ceph, R2): one signed PUT per file.

Signed with the file's hash (`bot.signatures`), so that it works over plain http, too. What could not be
sent is tried again by whoever has the file: nothing is kept here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from bot.answers import authorities
from bot.signatures import Bucket
from common.problems import reason
from common.redact import printable, redact_url

if TYPE_CHECKING:  # httpx: only where there is a bucket
    import httpx

UPLOAD_TIMEOUT_S = 60.0
"""For one file, from its first byte to the answer."""
CONNECT_TIMEOUT_S = 5.0
CHUNK_BYTES = 256 * 1024
MAX_ANSWER_BYTES = 4 * 1024
"""Of a refusal that are read, and ..."""
MAX_WORDS_CHARACTERS = 300
"""... of its words those that are said."""
MAX_FILE_BYTES = 5 * 1024**3
"""What S3 takes in one PUT."""
_PASSING = ("RequestTimeout", "IncompleteBody", "BadDigest", "RequestTimeTooSkewed", "OperationAborted")
"""Codes of refusals (400, 403, 409) that come of the network or a clock: the next try may be taken."""
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


class UploadError(Exception):
    """A file could not be stored; the message says where and why, without secrets.

    Args:
        words: For people.
        is_final: Saying it again changes nothing: the key, the bucket or the rights are wrong.
    """

    def __init__(self, words: str, *, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


class ObjectStore:
    """Stores files in one bucket. Used by one event loop; `close` it at the end."""

    def __init__(self, bucket: Bucket) -> None:
        import httpx

        self._bucket = bucket
        self._client = httpx.AsyncClient(
            trust_env=False,  # no proxy of the environment
            verify=authorities() if bucket.endpoint.startswith("https:") else False,
            timeout=httpx.Timeout(UPLOAD_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    async def put(self, path: Path, key: str, content_type: str = "application/octet-stream") -> str:
        """Stores a file under `prefix/key`, in place of what was there; returns its URL, in which there is no secret.

        Raises:
            UploadError: It is not stored.
        """
        import httpx

        url = self._bucket.url(key)
        try:
            size, digest = await asyncio.to_thread(_measure, path)
        except FileNotFoundError:
            raise UploadError(f"{path.name} is not there any more", is_final=True) from None
        except OSError as error:
            raise UploadError(f"{path.name} cannot be read: {reason(error)}") from None
        try:
            if size > MAX_FILE_BYTES:
                raise UploadError(f"{path.name} is larger than one upload may be", is_final=True)
            headers = {"content-type": content_type, "content-length": str(size)}
            signed = self._bucket.signed("PUT", url, digest, time.time(), headers)
            async with asyncio.timeout(UPLOAD_TIMEOUT_S):
                answer = await self._client.send(
                    self._client.build_request("PUT", url, headers=signed, content=_pieces(path)), stream=True
                )
                try:
                    if not answer.is_success:
                        raise _refused(url, answer.status_code, await _words(answer))
                finally:
                    await answer.aclose()
        except TimeoutError:
            raise UploadError(f"{redact_url(url)} took no file within {UPLOAD_TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UploadError(f"{redact_url(url)} cannot be reached: {reason(error) or type(error).__name__}") from None
        return url

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()


def safe_name(text: str, most: int = 64) -> str:
    """A name as part of a file name or a key: letters, digits, `.`, `_`, `-`; never empty, hidden or a way up."""
    return _SAFE.sub("_", text)[:most].strip("._") or "_"


def _measure(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield piece


async def _words(answer: httpx.Response) -> str:
    """What a refusal says: S3 answers XML with a code and a message."""
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) >= MAX_ANSWER_BYTES:
            break
    said = re.findall(r"<(?:Code|Message)>([^<]{1,200})<", body[:MAX_ANSWER_BYTES].decode(errors="replace"))
    return printable(": ".join(said), MAX_WORDS_CHARACTERS)


def _refused(url: str, status: int, words: str) -> UploadError:
    is_final = 400 <= status < 500 and status not in (408, 429) and not words.startswith(_PASSING)
    return UploadError(f"{redact_url(url)} refused the file: {status} {words}".rstrip(), is_final=is_final)
