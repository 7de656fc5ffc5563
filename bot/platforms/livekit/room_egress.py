"""Egress of a LiveKit room: ordered, looked after, its stream played, and stopped; one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import structlog

from bot.drivers.rtmp import Reason, StreamError, pull
from bot.platforms.livekit.egress import EgressApi, EgressError
from bot.platforms.livekit.room_stream import RoomStream
from bot.platforms.livekit.webhooks import EgressEvent, Webhooks, receiving
from common.cancellation import checkpoint

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Budget, Invitation
    from bot.platforms.livekit.settings import EgressSettings, LiveKitSettings

TRACK_ID = "composite"
"""Of the mix, and `speaker_id` of what nobody in particular said."""
LOOK_INTERVAL_S = 3.0
"""Between looks at what the server says of the egress: that it has sound we hear ourselves."""
PULL_PAUSE_S = 0.2
"""Between tries to play a stream that is not published yet."""
START_TIMEOUT_S, STOP_TIMEOUT_S = 0.4, 0.8
"""For an egress that is just being started to be there, and for one to be stopped, where we leave: within our 2 s."""

log = structlog.get_logger(__name__)


class RoomEgress:
    """Those of one room. Used from the event loop; `close` is its end.

    Args:
        invitation: With `livekit.egress`, key and secret.
        room: Its name.
        budget: Our place among all bots' egresses.
        wall: Seconds since 1970.
        hear: Called with each frame of the mix, as late as it comes.
    """

    def __init__(
        self,
        invitation: Invitation,
        room: str,
        budget: Budget,
        wall: Callable[[], float],
        hear: Callable[[AudioFrame], None],
    ) -> None:
        settings: LiveKitSettings = invitation.settings
        assert settings.egress is not None
        self._egress: EgressSettings = settings.egress
        self._session = invitation.connection_id
        self._stream = RoomStream(settings.egress, self._session, wall)
        self._key = settings.api_key or ""
        self._secret = settings.api_secret.get_secret_value() if settings.api_secret else ""
        self._api = EgressApi(invitation.meeting_url or "", self._key, self._secret)
        self._room, self._budget, self._hear = room, budget, hear
        self._told = asyncio.Event()  # by a webhook
        self._is_ending = False

    async def close(self) -> None:
        """Nothing is asked any more."""
        await self._api.close()

    def hurry(self) -> None:
        """We leave: what is to be stopped has little time."""
        self._is_ending = True

    async def attend(self, gone: asyncio.Event, failed: Callable[[EgressError], None]) -> None:
        """One egress, from its order to its end.

        Args:
            gone: Set: there is to be none any more.
            failed: Told at once when it has, before it is stopped.

        Raises:
            EgressError: It was refused, or is over.
        """
        await self.clear_away()
        hooks = [self._egress.webhook_url] if self._egress.webhook_url else []
        starting = asyncio.create_task(
            self._api.start_room_composite(self._room, self._stream.to_publish, self._session, hooks)
        )
        try:
            egress = await asyncio.shield(starting)
        except EgressError as error:
            if not error.code:  # it may have been started just when we gave up
                await self.clear_away()
            raise
        except asyncio.CancelledError:  # the server starts it whether we wait for its answer or not
            await asyncio.wait([starting], timeout=START_TIMEOUT_S)
            if starting.done() and starting.exception() is None:
                await self._stop(starting.result().egress_id)
            raise
        finally:
            starting.cancel()
        self._budget.used_for = egress.egress_id
        log.info("livekit_egress_started", egress=egress.egress_id)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._watch(egress.egress_id)),
            asyncio.create_task(self._play()),
            asyncio.create_task(gone.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except EgressError as error:
            failed(error)
            raise
        finally:
            try:
                await end(tasks)
            finally:
                await self._stop(egress.egress_id)

    async def _stop(self, egress_id: str) -> None:
        """Ends one; in a hurry where we leave, or are cancelled meanwhile. One that cannot be ended is left to whoever
        gets our place."""
        self._budget.used_for = egress_id
        stopping = asyncio.create_task(self._api.stop(egress_id))
        try:
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S if self._is_ending else None)
        except asyncio.CancelledError:
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S)
            raise
        finally:
            stopping.cancel()
            (failure,) = await asyncio.gather(stopping, return_exceptions=True)
            if failure is None:
                self._budget.used_for = ""
            else:
                log.warning("livekit_egress_not_stopped", egress=egress_id, error=str(failure) or "no answer in time")

    async def clear_away(self) -> None:
        """Stops what a bot that died has left behind: ourselves in this room, or others, as their lease tells."""
        ours = [egress.egress_id for egress in await self._api.active(self._room) if egress.mark == self._session]
        for egress_id in dict.fromkeys([*ours, *self._budget.left_behind]):
            log.warning("livekit_egress_left_behind", egress=egress_id)
            with suppress(EgressError):
                await self._api.stop(egress_id)

    async def _watch(self, egress_id: str) -> None:
        """Until the server says that it is over. Raises EgressError. That nobody answers means nothing."""
        while True:
            checkpoint()
            with suppress(TimeoutError):  # it may have been told before we knew its name
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._told.wait()
            self._told.clear()
            try:
                egress = await self._api.look(egress_id)
            except EgressError as error:
                log.debug("livekit_egress_unknown", egress=egress_id, error=str(error))
                continue
            if egress.state.is_over:
                state = egress.state.removeprefix("EGRESS_").lower()
                raise EgressError(f"the egress is over: {state} {egress.error}".strip())

    async def _play(self) -> None:
        """Plays the stream from when it is published until it ends. Raises EgressError."""
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            has_begun = True

        while True:
            checkpoint()
            try:
                await pull(self._stream.to_play, TRACK_ID, self._hear, opened=begin)
            except StreamError as error:
                if has_begun or error.reason is Reason.REFUSED:
                    raise EgressError(f"its stream: {error}") from None
            await asyncio.sleep(PULL_PAUSE_S)

    # --- webhooks

    async def listen(self, stack: AsyncExitStack) -> None:
        """What the server tells is no more than a reason to ask it; a port that is taken costs only that."""
        if self._egress.webhook_listen is None:
            return
        host, _, port = self._egress.webhook_listen.rpartition(":")
        webhooks = Webhooks(self._key, self._secret)
        try:
            await stack.enter_async_context(receiving(host.strip("[]"), int(port), webhooks, self._take_event))
        except (OSError, OverflowError) as error:
            log.warning("livekit_webhooks_not_taken", listen=self._egress.webhook_listen, error=str(error))

    def _take_event(self, event: EgressEvent) -> None:
        log.debug("livekit_webhook", webhook=event.event, egress=event.egress.egress_id, state=event.egress.state)
        self._told.set()


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
