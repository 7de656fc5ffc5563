"""Peers of a mediasoup room: who is there and what they produce, from what the application says (docs/mediasoup.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bot.core.events import ParticipantKind
from bot.platforms.differences import Seen
from common.contracts.status import SubCode


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
        """Takes the room's list of peers."""
        self._peers.clear()
        for peer in peers if isinstance(peers, list) else []:
            if isinstance(peer, dict):
                self._join(peer)

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
        if kind == "peerJoined":
            self._join(data)
        elif kind == "peerLeft":
            self._peers.pop(str(data.get("peerId")), None)
        elif kind == "peerRenamed":
            self._rename(data)
        else:
            self._produce(kind, data)
        return None

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
