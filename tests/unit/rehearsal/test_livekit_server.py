"""Ports of a livekit-server of one's own."""

from __future__ import annotations

import socket

import pytest

from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.livekit.server import PORTS, _free_port


def test_ports_that_are_taken_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """For signalling and media alike; three in a row."""
    taken, free = _free_port("127.0.0.1"), _free_port("127.0.0.1")
    assert {taken, free} <= set(PORTS)
    drawn = iter(first - PORTS.start for first in (taken, taken - 1, free))
    monkeypatch.setattr("rehearsal.livekit.server.secrets.randbelow", lambda _: next(drawn))
    with socket.create_server(("127.0.0.1", taken)):
        assert _free_port("127.0.0.1") == free


def test_an_address_of_somebody_else_has_none() -> None:
    """Said with the system's reason, not tried for ever."""
    with pytest.raises(EarshotError, match=r"no free ports .* on 203\.0\.113\.1: Cannot assign") as failure:
        _free_port("203.0.113.1")
    assert failure.value.code is SubCode.ROOM_UNREACHABLE
