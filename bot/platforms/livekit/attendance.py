"""Attendance of a LiveKit room: a hidden participant that only listens, through LiveKit's own SDK.

The SDK says what changed; we compare what its room looks like with what we have reported, and report the difference. So
coalesced, repeated or reordered notifications, a resume and a full reconnect (for which the SDK forgets everybody and
meets them again) all come out as the few events that describe them.
What the room looks like is read in `view`; what is said on its tracks is heard in `hearing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING

import structlog
from livekit import rtc
from livekit.rtc.room import EventTypes

from bot.core.events import (
    Admitted,
    ParticipantKind,
    TrackEncrypted,
    TransportBack,
    TransportLost,
)
from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.differences import Seen, differences
from bot.platforms.livekit.access import room_name, room_token
from bot.platforms.livekit.decryption import Decryption
from bot.platforms.livekit.hearing import Hearing, Sending, arrived
from bot.platforms.livekit.joining import before, hang_up, join
from bot.platforms.livekit.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from bot.platforms.livekit.view import View, is_encrypted
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.installed import how_to_install
from common.redact import redact_url

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener
    from bot.platforms.livekit.roads import Roads
    from bot.platforms.livekit.settings import LiveKitSettings
    from bot.platforms.orders import Orders

GIVE_UP_S = 120.0
"""The SDK gives up reconnecting after 18 s (refused) to minutes (silence); until then we join anew."""
REJOIN_PAUSE_S = 0.5
SETTLE_S = 0.25
"""Departures wait so long: a reconnect of ours or theirs begins by taking everybody away."""
HOPELESS_S = 10.0
"""Where every track is encrypted and none with our key, whoever publishes one that we can hear has so long."""

_ENDINGS = {
    rtc.DisconnectReason.ROOM_DELETED: SubCode.MEETING_ENDED,
    rtc.DisconnectReason.ROOM_CLOSED: SubCode.MEETING_ENDED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED: SubCode.REMOVED,
    rtc.DisconnectReason.DUPLICATE_IDENTITY: SubCode.DUPLICATE_IDENTITY,
}
_CHANGES: tuple[EventTypes, ...] = (
    "participant_connected",
    "participant_name_changed",
    "track_published",
    "track_muted",
    "track_unmuted",
    "reconnecting",
    "reconnected",
)
_DEPARTURES: tuple[EventTypes, ...] = (
    "participant_disconnected",
    "track_unpublished",
    "track_unsubscribed",
)

log = structlog.get_logger(__name__)


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """Joins the room and listens until it is over (see `bot.platforms.base.Platform`); there is no lobby."""
    attendance = _Attendance(listener, orders, invitation.settings)
    attendance.roads = await _roads(invitation, listener, attendance)
    if attendance.roads is None:
        return await _stay(invitation, attendance, orders.leaving)
    keeping = asyncio.create_task(attendance.roads.run(orders.leaving))
    staying = asyncio.create_task(_stay(invitation, attendance, orders.leaving))
    try:
        await asyncio.wait((keeping, staying), return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()  # it ends when we leave, or by a bug
        return await staying
    finally:
        keeping.cancel()
        staying.cancel()
        await asyncio.gather(keeping, staying, return_exceptions=True)


async def _roads(invitation: Invitation, listener: Listener, attendance: _Attendance) -> Roads | None:
    """Both roads of the room, where it may be heard as an egress."""
    settings: LiveKitSettings | None = invitation.settings
    if settings is None or settings.egress is None or settings.mode == "participant" or invitation.budgets is None:
        return None
    room = settings.room or room_name(room_token(invitation))
    try:
        module = await asyncio.to_thread(import_module, "bot.platforms.livekit.roads")  # PyAV: others need it not
    except ImportError as error:
        if settings.mode == "composite":
            words = f"`livekit.mode` is composite, and what plays an egress is not installed ({error}): "
            raise EarshotError(SubCode.EGRESS_UNAVAILABLE, words + how_to_install("webrtc")) from None
        log.warning(
            "livekit_no_egress", error=str(error), advice=f"{how_to_install('webrtc')}, or leave out livekit.egress"
        )
        return None
    who = f"{redact_url(invitation.meeting_url or '')}/{room}"
    budget = invitation.budgets("livekit-egress", who, settings.egress.limit)
    roads: Roads = module.Roads(invitation, room, listener, attendance.review, budget, time.time)
    return roads


async def _stay(invitation: Invitation, attendance: _Attendance, leave: asyncio.Event) -> SubCode:
    """Visits the room until it is over, again where only the connection was lost."""
    url = invitation.meeting_url or ""
    end = await _visit(invitation, url, attendance, leave)
    failure = ""
    while end is None and time.monotonic() < attendance.lost_at + GIVE_UP_S:
        await before(leave, asyncio.sleep(REJOIN_PAUSE_S))
        try:
            end = await _visit(invitation, url, attendance, leave)
        except EarshotError as error:
            if error.code in (SubCode.ENCRYPTED, SubCode.EGRESS_UNAVAILABLE):
                raise
            failure = f": {error}"
    if end is None:
        words = f"the connection to the LiveKit room at {redact_url(url)} is gone for good{failure}"
        raise EarshotError(SubCode.CONNECTION_LOST, words)
    return end


async def _visit(invitation: Invitation, url: str, attendance: _Attendance, leave: asyncio.Event) -> SubCode | None:
    """One stay in the room, always under the same identity; None when the SDK has lost it and given up."""
    room = rtc.Room()
    attendance.enter(room)
    if invitation.token is not None and attendance.token is not None:
        invitation = replace(invitation, token=attendance.token)
    try:
        if not await before(leave, join(room, url, room_token(invitation), attendance.key)):
            return SubCode.LEFT_BY_COMMAND
        return await attendance.stay()
    finally:
        await hang_up(room)


class _Attendance:
    """What has been reported of a room. The SDK's callbacks only wake it: what they raise would vanish in a log."""

    def __init__(self, listener: Listener, orders: Orders, settings: LiveKitSettings | None) -> None:
        secret = settings.encryption_key if settings is not None else None
        self.key = secret.get_secret_value() if secret is not None else None
        """Decrypts what is end-to-end encrypted."""
        self._view = View(self.key is not None, settings is not None and settings.screen_share_audio)
        self.token: str | None = None
        """The one that the server renewed last."""
        self._listener = listener
        self._orders, self._leave = orders, orders.leaving
        self._room: rtc.Room
        self._awake = asyncio.Event()
        self._reason: rtc.DisconnectReason.ValueType | None = None
        self._admitted = self._away = False
        self.lost_at = 0.0
        """Monotonic seconds at which the connection was lost last."""
        self._seen: dict[str, Seen] = {}
        self._wanted: list[rtc.RemoteTrackPublication] = []  # all tracks that are to be heard, as last looked at
        self._subscriptions = Subscriptions()
        self._has_clear = False  # there is, or was, a track that can be heard
        self._hopeless_at: float | None = None  # when we go if that stays so
        self._hearing: Hearing
        self._sources = count(1)
        self._sending = Sending()
        self.roads: Roads | None = None
        """Where the room may be heard as an egress."""

    def enter(self, room: rtc.Room) -> None:
        """Turns to a room that is about to be joined."""
        self._room, self._reason, self._decryption = room, None, Decryption()
        for name in _CHANGES:
            room.on(name, self._changed)
        for name in _DEPARTURES:
            room.on(name, self._departed)
        room.on("track_subscribed", self._subscribed)
        room.on("track_subscription_failed", self._not_subscribed)
        room.on("e2ee_state_changed", self._encryption_changed)
        room.on("disconnected", self._disconnected)
        room.on("active_speakers_changed", self._speakers_changed)
        room.on("token_refreshed", self._refreshed)

    def _changed(self) -> None:
        self._awake.set()

    def _departed(self) -> None:
        asyncio.get_running_loop().call_later(SETTLE_S, self._awake.set)

    def _subscribed(
        self, _: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if is_encrypted(publication):
            now, tracks = asyncio.get_running_loop().time(), self._encrypted(participant)
            self._decryption.subscribed(publication.sid, participant.identity, tracks, now)
        self._awake.set()

    def _encryption_changed(self, participant: rtc.Participant, state: rtc.EncryptionState.ValueType) -> None:
        if state == rtc.EncryptionState.OK and isinstance(participant, rtc.RemoteParticipant):
            now = asyncio.get_running_loop().time()
            self._decryption.decrypted(participant.identity, self._encrypted(participant), now)
            self._awake.set()

    def _encrypted(self, person: rtc.RemoteParticipant) -> int:
        """How many encrypted tracks of somebody are to be heard."""
        return sum(map(is_encrypted, self._view.audible(person)))

    def _hear(self, frame: AudioFrame) -> None:
        if self._decryption.is_clear(frame.track_id, asyncio.get_running_loop().time()):
            (self._listener.audio if self.roads is None else self.roads.track)(frame)

    def _speakers_changed(self, speakers: list[rtc.Participant]) -> None:
        if self.roads is not None:
            self.roads.speakers(person.identity for person in speakers if person.identity in self._seen)

    def _not_subscribed(self, _: rtc.RemoteParticipant, sid: str, error: str) -> None:
        log.warning("livekit_subscription_failed", track=sid, error=error)  # asked for again when its time has come

    def _refreshed(self) -> None:
        self.token = self._room._token  # the event has none, and the SDK no other way to it

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._reason = reason
        self._awake.set()

    async def stay(self) -> SubCode | None:
        """Reports what happens until we leave or are disconnected; None when only the connection is gone."""
        if not self._admitted:
            self._admitted = True
            self._listener.event(Admitted())
        self._hearing = Hearing(self._hear, self._sources)
        try:
            await self._look_around()
        finally:
            await self._hearing.close()
        if self._leave.is_set():
            return SubCode.LEFT_BY_COMMAND
        if failure := self._egress_failure:
            raise EarshotError(SubCode.EGRESS_UNAVAILABLE, f"`livekit.mode` is composite, and {failure}")
        if self._is_hopeless:
            how = "end-to-end encrypted" if self.key is None else "encrypted with another key"
            words = f"every track in the LiveKit room is {how}: give the room's key in `livekit.encryptionKey`"
            raise EarshotError(SubCode.ENCRYPTED, words)
        end = _ENDINGS.get(self._reason or rtc.DisconnectReason.UNKNOWN_REASON)
        if end is None:
            self._report_away(True)
        return end

    async def _look_around(self) -> None:
        """Looks whenever something has changed, until there is a reason to go."""
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(work) for work in (self._hearing.run(), self._wake_to_leave(), self._obey())]
            self._awake.set()
            while self._reason is None and not (self._leave.is_set() or self._is_hopeless or self._egress_failure):
                self._awake.clear()
                again = None
                if self.look():
                    await self._examine()
                    self._weigh()
                    timers = self._subscriptions.next_timer(), self._decryption.next_timer(), self._hopeless_at
                    again = min((timer for timer in timers if timer is not None), default=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(again):
                        await self._awake.wait()
            for task in others:
                task.cancel()

    async def _wake_to_leave(self) -> None:
        await self._leave.wait()
        self._awake.set()

    async def _obey(self) -> None:
        """Carries out what is ordered beside leaving."""
        while True:
            match await self._orders.next():
                case Resubscribe(track_id):
                    self._subscriptions.renew(track_id, asyncio.get_running_loop().time())
                    self._awake.set()
                case Reconnect():  # nobody sees a hidden participant go and come
                    self._disconnected(rtc.DisconnectReason.UNKNOWN_REASON)

    def _report_away(self, away: bool) -> None:
        if away != self._away:
            self._away = away
            self.lost_at = time.monotonic() if away else 0.0
            self._listener.event(TransportLost() if away else TransportBack())

    @property
    def _egress_failure(self) -> str | None:
        return self.roads.failure if self.roads is not None else None

    def review(self) -> None:
        """Looks at once: what is to be heard has changed."""
        self.look()
        self._awake.set()

    def look(self) -> bool:
        """Brings what we have reported up to what the room looks like; False: the connection is gone, or on its way."""
        state = self._room.connection_state
        if state == rtc.ConnectionState.CONN_DISCONNECTED:
            return False  # the reason follows
        self._report_away(state == rtc.ConnectionState.CONN_RECONNECTING)
        if self._away:
            return False
        people = list(self._room.remote_participants.values())
        seen = {person.identity: self._view.seen(person) for person in people}
        wanted = [publication for person in people for publication in self._view.audible(person)]
        sending = None  # all of them
        if self.roads is not None:
            sending = {sid for who, one in seen.items() if self.roads.hears(who) for sid in one.tracks}
            seen = self._as_the_road_shows(self.roads, seen, wanted)
            self._sending.want(wanted, sending)
        before, self._seen, self._wanted = self._seen, seen, wanted
        for event in differences(before, seen):
            self._listener.event(event)
        clear = [publication for publication in wanted if not self._view.is_closed(publication)]
        self._subscribe(clear)
        heard = [one for one in clear if sending is None or one.sid in sending]
        self._hearing.follow({one.sid: one.track for one in heard if one.track is not None and not one.muted})
        return True

    def _as_the_road_shows(
        self, roads: Roads, seen: dict[str, Seen], wanted: list[rtc.RemoteTrackPublication]
    ) -> dict[str, Seen]:
        """Heard in the mix, people have no tracks of their own. These stay subscribed, as the server tells of no others
        who speaks."""
        people = sum(person.kind is ParticipantKind.PERSON for person in seen.values())
        roads.people(people, encrypted=any(map(is_encrypted, wanted)), muted=all(one.muted for one in wanted))
        return seen if roads.shows_tracks else {who: replace(one, tracks={}) for who, one in seen.items()}

    async def _examine(self) -> None:
        """Finds out what is decrypted where that was not said, and tells of tracks that have another key: packets come,
        and none of them is decrypted."""
        published = {one.sid: one for one in self._wanted if not self._view.is_closed(one)}
        muted = {sid: one.muted for sid, one in published.items()}
        clock = asyncio.get_running_loop().time
        overdue = self._decryption.review(muted, clock())
        for track_id in self._decryption.unproven(clock()):
            track = published[track_id].track
            decoded = (await arrived(track))[1] if track is not None else 0
            self._decryption.decoded(track_id, decoded, clock())
        for track_id in overdue:
            track = published[track_id].track
            if track is not None and self._decryption.found(track_id, (await arrived(track))[0]):
                log.warning("livekit_other_key", track=track_id)
                self._listener.event(TrackEncrypted(track_id))

    def _weigh(self) -> None:
        """Whether there is any hope: something can be heard, or could, or may still turn out to have our key."""
        self._has_clear = self._has_clear or any(map(self._is_clear, self._wanted))
        closed = (self._view.is_closed(one) or self._decryption.has_other_key(one.sid) for one in self._wanted)
        if self._has_clear or not self._wanted or not all(closed):
            self._hopeless_at = None
        elif self._hopeless_at is None:
            self._hopeless_at = asyncio.get_running_loop().time() + HOPELESS_S

    def _is_clear(self, publication: rtc.RemoteTrackPublication) -> bool:
        return not is_encrypted(publication) or self._decryption.has_begun(publication.sid)

    def _subscribe(self, clear: list[rtc.RemoteTrackPublication]) -> None:
        before = self._subscriptions.unheard
        self._subscriptions.want(clear, asyncio.get_running_loop().time())
        if self._subscriptions.unheard and not before:
            unheard = self._subscriptions.unheard
            log.warning("livekit_too_many_tracks", published=len(clear), heard=MAX_SUBSCRIPTIONS, unheard=unheard)

    @property
    def _is_hopeless(self) -> bool:
        """Everything is closed to us, and has been for so long that nothing else is to be expected."""
        return self._hopeless_at is not None and asyncio.get_running_loop().time() >= self._hopeless_at
