"""Delivery of a recording's finished files: to a bucket, and chunk by chunk to a transcriber's `/process`.

Each destination has a queue of its own: in order, one file at a time, again and again until it is taken or refused for
good. Files that were not taken are on the disk all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import structlog

from bot.answers import answer_of, authorities
from bot.core.effects import ReportHealth
from bot.links.object_store import ObjectStore, UploadError
from bot.recording.files import MEDIA_TYPES
from bot.recording.index import Meeting, Recorded
from common.contracts.times import iso_utc
from common.problems import reason
from common.redact import printable, redact_url

MAX_WAITING_FILES = 1_000
"""Files that wait for a destination. Policy when full: the oldest is not delivered, and that is said."""
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between tries; the last one again and again."""
CHUNK_TIMEOUT_S = 120.0
"""For one chunk to be decoded: as long as the transcriber gives an upload."""
MAX_WORDS_CHARACTERS = 300
MAX_ANSWER_BYTES = 4 * 1024 * 1024

Send: TypeAlias = Callable[[Recorded], Awaitable[None]]

log = structlog.get_logger(__name__)


class Delivery:
    """One destination.

    Args:
        subject: Of its health.
        send: Delivers one file. Raises UploadError.
        report: Hears when files are not taken, and when they are again.
        pauses: Between tries, seconds.
    """

    def __init__(
        self,
        subject: str,
        send: Send,
        report: Callable[[ReportHealth], None],
        pauses: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._subject, self._send, self._report, self._pauses = subject, send, report, pauses
        self._waiting: deque[Recorded] = deque()
        self._change, self._hurry = asyncio.Event(), asyncio.Event()
        self._is_well = True
        self.failed = 0
        """Files that will not be delivered."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, recorded: Recorded) -> None:
        """A file is finished."""
        self._waiting.append(recorded)
        if len(self._waiting) > MAX_WAITING_FILES:
            self._lose(self._waiting.popleft(), f"{MAX_WAITING_FILES} files wait")
        self._change.set()

    async def run(self) -> None:
        """Delivers, until cancelled."""
        tries = 0
        while True:
            while not self._waiting:
                self._change.clear()
                await self._change.wait()
            recorded = self._waiting[0]
            try:
                await self._send(recorded)
            except UploadError as error:
                self._tell(False, str(error))
                if not error.is_final:
                    await self._pause(tries)
                    tries += 1
                    continue
                self._lose(recorded, str(error))
            else:
                log.info("recording.delivered", to=self._subject, file=recorded.path)
                self._tell(True, "files are delivered")
            tries = 0
            if self._waiting and self._waiting[0] is recorded:  # it may have lost its place meanwhile
                self._waiting.popleft()
            self._change.set()

    async def _pause(self, tries: int) -> None:
        """Waits for the next try: at the end no longer than for the first one."""
        if not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pauses[min(tries, len(self._pauses) - 1)]):
                    await self._hurry.wait()
        else:
            await asyncio.sleep(self._pauses[0])

    async def flush(self) -> None:
        """Waits until nothing waits; it is tried at once, however long the pause would have been."""
        self._hurry.set()
        while self._waiting:
            self._change.clear()
            await self._change.wait()

    def _lose(self, recorded: Recorded, why: str) -> None:
        self.failed += 1
        log.error("recording.not_delivered", to=self._subject, file=recorded.path, why=why)

    def _tell(self, well: bool, detail: str) -> None:
        if well is not self._is_well:
            self._is_well = well
            self._report(ReportHealth(self._subject, well, detail))


class Uploader:
    """Puts finished files into a bucket, under `connectionId/track/file`."""

    def __init__(self, store: ObjectStore, folder: Path, kind: str) -> None:
        self._store, self._folder, self._kind = store, folder, kind

    async def __call__(self, recorded: Recorded) -> None:
        """Delivers one. Raises UploadError."""
        await self._store.put(
            self._folder / recorded.path, f"{self._folder.name}/{recorded.path}", MEDIA_TYPES[self._kind]
        )

    async def put_index(self, name: str) -> None:
        """Delivers the index. Raises UploadError."""
        await self._store.put(self._folder / name, f"{self._folder.name}/{name}", "application/json")

    async def close(self) -> None:
        """Closes its connections."""
        await self._store.close()


class ChunkPoster:
    """Posts finished files to a transcriber's `/process` (docs/transcriber-http.md); answers are kept beside them.

    Args:
        url: Of `/process`.
        key: Sent as `Authorization: Bearer`.
        meeting: Which one.
        folder: Of its files.
    """

    def __init__(self, url: str, key: str | None, meeting: Meeting, folder: Path) -> None:
        import httpx

        self._url, self._meeting, self._folder = url, meeting, folder
        self._client = httpx.AsyncClient(
            timeout=None,
            trust_env=False,  # no proxy of the environment
            verify=authorities() if url.startswith("https:") else False,
            headers={"authorization": f"Bearer {key}"} if key else {},
        )

    def form(self, recorded: Recorded) -> dict[str, str]:
        """The fields beside the audio: the same if it is sent again, which so is known for a duplicate."""
        return {
            "roomId": str(self._meeting.meeting_id),
            "timestamp": iso_utc(self._meeting.zero + recorded.start),
            "seq": str(recorded.seq),
            "source": f"egress_{recorded.engine}",
            "role": recorded.speaker or recorded.track,
            "peer": recorded.speaker_id,
            "clientId": self._meeting.connection_id,
            "producerId": recorded.track,
            "trackId": recorded.track,
        }

    async def __call__(self, recorded: Recorded) -> None:
        """Delivers one. Raises UploadError."""
        import httpx

        path = self._folder / recorded.path
        where = redact_url(self._url)
        try:
            audio = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise UploadError(f"{path.name} is not there any more", is_final=True) from None
        except OSError as error:
            raise UploadError(f"{path.name} cannot be read: {reason(error)}") from None
        try:
            answer = await answer_of(
                *(self._client, "POST", self._url),
                seconds=CHUNK_TIMEOUT_S,
                most=MAX_ANSWER_BYTES + 1,
                data=self.form(recorded),
                files={"audio": (path.name, audio, MEDIA_TYPES[self._meeting.kind])},
            )
        except TimeoutError:
            raise UploadError(f"{where} gave no answer within {CHUNK_TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UploadError(f"{where} cannot be reached: {reason(error) or type(error).__name__}") from None
        if not answer.is_success:
            code = answer.status_code
            is_final = 300 <= code < 500 and code not in (408, 429)
            words = printable(answer.text, MAX_WORDS_CHARACTERS)
            raise UploadError(f"{where} did not take a chunk: {code} {words}", is_final=is_final)
        if len(answer.content) <= MAX_ANSWER_BYTES:
            await asyncio.to_thread(_keep, path.with_suffix(".json"), answer.content)

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()


def _keep(path: Path, answer: bytes) -> None:
    try:
        path.write_bytes(answer)
    except OSError as error:
        log.warning("recording.answer_not_kept", file=path.name, why=error.strerror)
