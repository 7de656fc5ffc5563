"""Peers of a mediasoup room: who is there and what they produce, from what the application says (docs/mediasoup.md)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bot.core.events import ParticipantKind
from bot.platforms.differences import Seen
from common.contracts.status import SubCode

MAX_EARLY_NOTIFICATIONS = 256
"""Notifications that came before the list of peers, kept until it comes. Policy when full: the oldest goes."""


@dataclass(slots=True)
class _Peer:
    name: str
    producers: dict[str, bool] = field(default_factory=dict)  # of audio: id → paused
    is_service: bool = False


class Peers:
    """What we know of one room.

    Args:
        own: Our id there.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self._peers: dict[str, _Peer] = {}
        self._early: deque[tuple[object, dict[str, Any]]] | None = deque(maxlen=MAX_EARLY_NOTIFICATIONS)

    def look(self) -> dict[str, Seen]:
        """Everybody but us, with their audio producers as tracks."""
        return {
            peer_id: Seen(
                peer.name,
                ParticipantKind.SERVICE if peer.is_service else ParticipantKind.PERSON,
                {} if peer.is_service else dict(peer.producers),
            )
            for peer_id, peer in self._peers.items()
        }

    def joined(self, peers: object) -> None:
        """Takes the room's list of peers. What was told before it may be newer, or older: it is told again, and takes
        nothing from the list but who, or what, is said to be gone."""
        self._peers.clear()
        for peer in peers if isinstance(peers, list) else []:
            if isinstance(peer, dict):
                self._join(peer)
        for kind, data in self._early or ():
            self._change(kind, data, is_early=True)
        self._early = None

    def take(self, kind: object, data: object) -> SubCode | None:
        """Takes a notification; returns why we are not in the room any more."""
        if kind == "kicked":
            return SubCode.REMOVED
        if kind == "roomClosed":
            return SubCode.MEETING_ENDED
        if kind == "replaced":
            return SubCode.DUPLICATE_IDENTITY
        if not isinstance(data, dict):
            return None
        if self._early is not None:
            self._early.append((kind, data))
        self._change(kind, data)
        return None

    def _change(self, kind: object, data: dict[str, Any], *, is_early: bool = False) -> None:
        if is_early and self._knows(kind, data):
            return
        if kind == "peerJoined":
            self._join(data)
        elif kind == "peerLeft":
            self._peers.pop(str(data.get("peerId")), None)
        elif kind == "peerRenamed":
            self._rename(data)
        else:
            self._produce(kind, data)

    def _knows(self, kind: object, said: dict[str, Any]) -> bool:
        """Whether the news is of somebody, or something, that is there already."""
        peer = self._peers.get(str(said.get("peerId")))
        is_there = kind == "newProducer" and peer is not None and str(said.get("producerId")) in peer.producers
        return is_there or (kind == "peerJoined" and peer is not None)

    def _join(self, said: dict[str, Any]) -> None:
        peer_id = said.get("peerId")
        if not isinstance(peer_id, str) or not peer_id or peer_id == self._own:
            return
        peer = self._peers.setdefault(peer_id, _Peer(peer_id))
        peer.is_service = said.get("service") is True
        self._rename(said)
        producers = said.get("producers")
        peer.producers = {}
        for producer in producers if isinstance(producers, list) else []:
            if isinstance(producer, dict):
                self._produce("newProducer", producer | {"peerId": peer_id})

    def _rename(self, said: dict[str, Any]) -> None:
        peer, name = self._peers.get(str(said.get("peerId"))), said.get("name")
        if peer is not None and isinstance(name, str) and name:
            peer.name = name

    def _produce(self, kind: object, said: dict[str, Any]) -> None:
        peer, producer = self._peers.get(str(said.get("peerId"))), said.get("producerId")
        if peer is None or not isinstance(producer, str):
            return
        if kind == "newProducer" and said.get("kind") == "audio":
            peer.producers[producer] = said.get("paused") is True
        elif kind == "producerClosed":
            peer.producers.pop(producer, None)
        elif kind in ("producerPaused", "producerResumed") and producer in peer.producers:
            peer.producers[producer] = kind == "producerPaused"
