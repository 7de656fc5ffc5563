"""Recording of a meeting into files, beside its transcription: every platform's, since it sits on frames.

frame ──▶ Slices (placed, cut) ──▶ Writer (a thread) ──▶ files, index ──▶ Delivery (bucket, /process)

Whatever becomes of it (no space, a slow disk, a bucket that refuses), the transcript goes on, and the health says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from bot.audio.frame import AudioFrame
from bot.audio.slices import MIX, Cut, Done, Slices
from bot.config import BotConfig
from bot.core.effects import ReportHealth
from bot.links.object_store import ObjectStore, UploadError
from bot.recording.delivery import ChunkPoster, Delivery, Uploader
from bot.recording.index import INDEX, Meeting, Recorded, Spoken
from bot.recording.writer import MIX_NAME, Whose, Writer
from bot.signatures import Bucket
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment

TICK_INTERVAL_S = 0.5
"""Between looks at slices that are over."""
MAX_END_SHARE = 0.5
"""Of the time for the end that writing may take; the rest is for delivering."""

log = structlog.get_logger(__name__)


class Recording:
    """The recording of one bot. Lives on the event loop; its writer has a thread.

    Args:
        config: With `recording` in it.
        whose: Looks up whose a track is: id and name; None: it does not count.
        report: Hears how it fares.
    """

    def __init__(
        self,
        config: BotConfig,
        whose: Callable[[str], tuple[str, str] | None],
        report: Callable[[ReportHealth], None],
    ) -> None:
        assert config.recording is not None
        self._config, self._settings = config, config.recording
        self._whose, self._report = whose, report
        self._loop = asyncio.get_running_loop()
        self._slices: Slices | None = None
        self._writer: Writer | None = None
        self._written = asyncio.Event()
        self._uploader: Uploader | None = None
        self._poster: ChunkPoster | None = None
        self._deliveries: list[Delivery] = []
        self._started = asyncio.Event()
        self._owners: dict[str, tuple[str, str]] = {}  # of tracks that are recorded, as they were last known
        self._engines: dict[str, str] = {}  # what decoded the last of each line
        self._is_paused = self._has_failed = self._is_slow = False
        if self._settings.upload or self._settings.process_url is not None:
            import httpx  # noqa: F401  (before the meeting: it takes a tenth of a second)

    def start(self, zero: float, wall: float) -> None:
        """Meeting time zero: `zero` on the monotonic clock, `wall` in Unix seconds."""
        settings, config = self._settings, self._config
        meeting = Meeting(
            config.connection_id, config.meeting_id, config.platform, wall, settings.segment_seconds, settings.format
        )
        self._slices = Slices(zero, settings.segment_seconds, per_track=settings.per_track, mixed=settings.mixed)
        self._writer = Writer(
            Path(settings.dir),
            meeting,
            lambda recorded: self._soon(self._finished, recorded),
            lambda why: self._soon(self._failed, why),
            lambda: self._soon(self._written.set),
        )
        if settings.upload and config.object_store is not None:
            store = ObjectStore(Bucket(**config.object_store.parts()))
            self._uploader = Uploader(store, self._writer.folder, settings.format)
            self._deliveries.append(Delivery("recording_upload", self._uploader, self._report))
        if settings.process_url is not None:
            key = settings.process_api_key.get_secret_value() if settings.process_api_key else None
            self._poster = ChunkPoster(settings.process_url, key, meeting, self._writer.folder)
            self._deliveries.append(Delivery("recording_process", self._poster, self._report))
        self._writer.start()
        self._started.set()

    async def run(self) -> None:
        """Cuts and delivers, until cancelled."""
        await self._started.wait()
        async with asyncio.TaskGroup() as group:
            for delivery in self._deliveries:
                group.create_task(delivery.run())
            while True:
                await asyncio.sleep(TICK_INTERVAL_S)
                if self._slices is not None:
                    self._put(self._slices.tick(self._loop.time()))

    def frame(self, frame: AudioFrame) -> None:
        """Takes a piece of a track; before `start`, and while paused, nothing is recorded."""
        if self._slices is None or self._is_paused or self._has_failed:
            return
        if self._whose(frame.track_id) is not None:
            self._owner(frame.track_id)
            self._put(self._slices.frame(frame))  # a slice that is done by it was decoded by what came before
            self._engines[frame.track_id] = self._engines[MIX] = frame.engine

    def pause(self, paused: bool) -> None:
        """Records no more, or again."""
        self._is_paused = paused

    def segment(self, segment: Segment) -> None:
        """A final says who spoke when: it stands in the index, without its words."""
        if self._writer is not None and segment.completed and segment.text:
            self._writer.put(Spoken(segment.speaker_id, segment.speaker, segment.start, segment.end))

    def end(self) -> None:
        """Nothing is heard any more: files are finished. What was said last may still come."""
        if self._slices is not None:
            self._put(self._slices.finish())
            self._slices = None

    async def finish(self, timeout: float) -> None:
        """Writes what is left, and delivers it, as far as that goes within `timeout` seconds."""
        self.end()
        if self._writer is None:
            return
        self._writer.finish()
        deadline = self._loop.time() + timeout
        try:
            async with asyncio.timeout(timeout * MAX_END_SHARE):
                await self._written.wait()
            async with asyncio.timeout_at(deadline):
                await asyncio.gather(*(delivery.flush() for delivery in self._deliveries))
                if self._uploader is not None:
                    await self._uploader.put_index(INDEX)
        except TimeoutError:
            log.error("recording.not_finished", written=self._written.is_set(), not_delivered=self.undelivered)
        except UploadError as error:
            log.error("recording.not_delivered", file=INDEX, why=str(error))

    async def close(self) -> None:
        """Closes every connection."""
        for client in (self._uploader, self._poster):
            if client is not None:
                await client.close()

    @property
    def undelivered(self) -> int:
        """Finished files that some destination does not have."""
        return sum(len(delivery) + delivery.failed for delivery in self._deliveries)

    def _put(self, cuts: Iterable[Cut]) -> None:
        assert self._writer is not None
        for cut in cuts:
            fits = self._writer.put(self._whose_it_is(cut) if isinstance(cut, Done) else cut)
            if fits is self._is_slow and not isinstance(cut, Done):
                self._is_slow = not fits
                lost = self._writer.dropped / SAMPLE_RATE
                words = "is written again" if fits else "is too slow for the recording: what comes now is not in it"
                self._report(ReportHealth("recording", fits, f"the disk {words} ({lost:.0f} s are missing)"))

    def _whose_it_is(self, done: Done) -> Whose:
        return Whose(done, *self._owner(done.line), self._engines.get(done.line, "native"))

    def _owner(self, line: str) -> tuple[str, str]:
        if line == MIX:
            return MIX_NAME, ""
        before = self._owners.get(line)
        owner = self._whose(line) or before or (line, "")
        if before is not None and before[0] != owner[0]:  # it has been several people's: a file of it is nobody's
            owner = line, ""
        self._owners[line] = owner
        return owner

    def _finished(self, recorded: Recorded) -> None:
        for delivery in self._deliveries:
            delivery.put(recorded)

    def _failed(self, why: str) -> None:
        self._has_failed = True
        words = f"recording has stopped, the transcript goes on: {why}"
        self._report(ReportHealth("recording", False, words))

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        """From the writer's thread; after the loop's end there is nobody to tell."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
