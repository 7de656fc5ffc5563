"""What is decided about a connection before it is a websocket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from websockets.asyncio.server import ServerConnection

from common.metrics import total
from transcriber.metrics import Metrics
from transcriber.websocket.admission import (
    HANDSHAKE_GRACE_S,
    MIN_WAITING_PER_ADDRESS,
    Admission,
    network,
    select,
)

KEY = "s3cret-k3y"


def test_the_key_is_never_the_chosen_subprotocol() -> None:
    """Only the word beside it."""
    nobody = cast(ServerConnection, None)
    assert select(nobody, cast(Any, ["bearer", KEY])) == "bearer"
    assert select(nobody, cast(Any, ["chat"])) is None
    assert select(nobody, []) is None


def test_a_network_is_an_address_or_half_of_one() -> None:
    """Whoever has an IPv6 address has the 2**64 beside it too."""
    assert network("192.0.2.7") == network("::ffff:192.0.2.7") == "192.0.2.7"
    assert network("2001:db8::1") == network("2001:db8::ffff:1") == "2001:db8::/64"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("2001:db8:0:1::1") != network("2001:db8::1")


class Visitor:
    """A connection that notes when it is sent away."""

    def __init__(self) -> None:
        self.gone = False
        self.transport = SimpleNamespace(abort=self.abort)

    def abort(self) -> None:
        """Is called once at most."""
        assert not self.gone
        self.gone = True


class Door:
    """Admission, with visitors."""

    def __init__(self, max_clients: int = MIN_WAITING_PER_ADDRESS) -> None:
        self.metrics = Metrics()
        self.access = Admission(None, (), max_clients, self.metrics)

    def knock(self, address: str, now: float) -> tuple[Visitor, bool]:
        """Somebody comes; whether they got in."""
        visitor = Visitor()
        return visitor, self.access.enter(cast(ServerConnection, visitor), address, now)

    def leave(self, visitor: Visitor) -> None:
        """Somebody is done."""
        self.access.leave(cast(ServerConnection, visitor))


def test_one_address_has_its_share_of_the_waiting_room() -> None:
    """Beyond it nobody is let in, until somebody has finished; others are not affected."""
    door = Door()
    first = [door.knock("192.0.2.1", 0.0) for _ in range(MIN_WAITING_PER_ADDRESS)]
    assert all(inside for _, inside in first)
    assert not door.knock("192.0.2.1", HANDSHAKE_GRACE_S / 2)[1]
    assert door.knock("192.0.2.2", HANDSHAKE_GRACE_S / 2)[1]
    door.leave(first[3][0])
    door.leave(first[3][0])  # once by the handshake, once when it is gone
    assert door.knock("192.0.2.1", HANDSHAKE_GRACE_S / 2)[1]
    assert not door.knock("192.0.2.1", HANDSHAKE_GRACE_S / 2)[1]
    assert total(door.metrics.refused) == 2


def test_who_is_slow_makes_room_for_who_is_new() -> None:
    """So a flood of connections that say nothing keeps nobody out; the oldest of that address goes first."""
    door = Door()
    other, _ = door.knock("192.0.2.9", 0.0)
    slow = [door.knock("192.0.2.1", 0.1)[0] for _ in range(MIN_WAITING_PER_ADDRESS)]
    assert door.knock("192.0.2.1", 0.1 + HANDSHAKE_GRACE_S)[1]
    assert [visitor.gone for visitor in slow] == [True] + [False] * (MIN_WAITING_PER_ADDRESS - 1)
    assert not other.gone


def test_the_waiting_room_has_a_size() -> None:
    """Whatever the number of addresses; the oldest of all goes first."""
    door = Door()
    crowd = [door.knock(f"192.0.2.{n}", n / 1000)[0] for n in range(2 * MIN_WAITING_PER_ADDRESS)]
    assert not door.knock("198.51.100.1", HANDSHAKE_GRACE_S - 0.1)[1]
    assert door.knock("198.51.100.1", HANDSHAKE_GRACE_S + 0.0005)[1]
    assert [visitor.gone for visitor in crowd[:2]] == [True, False]
    assert not door.knock("198.51.100.2", HANDSHAKE_GRACE_S + 0.0005)[1]
    assert door.access.waiting == 2 * MIN_WAITING_PER_ADDRESS


def test_all_clients_that_are_served_may_come_at_once_from_one_address() -> None:
    """A fleet behind one address after a restart; as many again may come from elsewhere."""
    door = Door(max_clients=200)
    assert all(door.knock("192.0.2.1", 0.0)[1] for _ in range(200))
    assert not door.knock("192.0.2.1", 0.0)[1]
    assert all(door.knock(f"198.51.100.{n}", 0.0)[1] for n in range(200))
    assert not door.knock("198.51.100.201", 0.0)[1]


def test_addresses_are_forgotten() -> None:
    """The count of those who wait has no row for anybody who does not."""
    door = Door()
    for n in range(1000):
        door.leave(door.knock(f"192.0.2.{n}", 0.0)[0])
    assert (door.access.waiting, len(door.access._waiting_each)) == (0, 0)


def test_who_comes_while_the_server_stops_is_sent_away_too() -> None:
    """Else it would wait for them."""
    door = Door()
    early, _ = door.knock("192.0.2.1", 0.0)
    door.access.dismiss()
    assert early.gone
    assert not door.knock("192.0.2.2", 0.0)[1]
