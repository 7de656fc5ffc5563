"""Forms that clients send: the key beside them, and a multipart body within its limits."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message, Receive

from common.auth import has_key, is_allowed
from transcriber.core.uploads import ApiError

UPLOAD_TIMEOUT_S = 120.0
"""Seconds that a client may take to send its request."""
MAX_FIELDS = 32
"""Fields beside the file, at most."""
MAX_FIELD_BYTES = 16 * 1024
"""The longest of them."""
MEGABYTE = 1024 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """One request's file and fields; a file above 1 MB is on disk."""

    file: UploadFile
    fields: dict[str, str]
    granularities: list[str]


def authorise(request: Request, key: str | None, origins: Sequence[str]) -> None:
    """Lets no browser page in that is not listed, and nobody without the key where there is one.

    Raises:
        ApiError: 401, 403.
    """
    headers = request.headers
    if not is_allowed(headers.getlist("origin"), origins, headers.get("host", ""), headers.get("user-agent", "")):
        raise ApiError(
            403, "Pages of this origin may not use the server: its --allow-origin lists those that may.", code="origin"
        )
    if key is not None and not has_key(headers.get("authorization", ""), "", key):
        raise ApiError(
            401, "The API key is missing or wrong: send `Authorization: Bearer KEY`.", code="invalid_api_key"
        )


async def read(request: Request, stack: AsyncExitStack, *, file: str, largest: int) -> Upload:
    """Reads a multipart body with one file; `stack` closes the file.

    Args:
        request: Its body has not been touched.
        stack: Lives as long as the file is needed.
        file: The name of the file's field.
        largest: Bytes of the file.

    Raises:
        ApiError: 400, 408, 413, 415, 503.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, f"Send multipart/form-data with the audio in the field {file}.")
    limit = largest + MAX_FIELDS * MAX_FIELD_BYTES
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise _too_large(largest)
    limited = Request(request.scope, _limited(request.receive, limit, largest))
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_S):
            form = await limited.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except TimeoutError:
        raise ApiError(408, f"The request took longer than {UPLOAD_TIMEOUT_S:g} s to arrive.") from None
    except OSError as error:
        log.error("upload.not_kept", folder=tempfile.gettempdir(), problem=error.strerror)
        raise ApiError(503, "The server has no room for the file: send it again later.", code="no_room") from error
    except HTTPException as error:
        raise ApiError(400, f"The form cannot be read: {error.detail}") from None
    except (MultiPartException, ValueError, LookupError) as error:
        raise ApiError(400, "The form cannot be read: the body is no multipart form.") from error
    stack.push_async_callback(form.close)
    upload = form.get(file)
    if not isinstance(upload, UploadFile):
        raise ApiError(400, f"The field {file} with the audio file is missing.", param=file)
    if not upload.size:
        raise ApiError(400, f"The file in the field {file} is empty.", param=file)
    if upload.size > largest:
        raise _too_large(largest)
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    granularities = [
        value
        for name in ("timestamp_granularities[]", "timestamp_granularities")
        for value in form.getlist(name)
        if isinstance(value, str)
    ]
    return Upload(upload, fields, granularities)


def _limited(receive: Receive, limit: int, largest: int) -> Receive:
    """The same messages until there are too many bytes, whatever Content-Length said."""
    taken = 0

    async def next_message() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise _too_large(largest)
        return message

    return next_message


def _too_large(largest: int) -> ApiError:
    return ApiError(413, f"The file is larger than {largest / MEGABYTE:g} MB.", param="file", code="file_too_large")
