"""What is sent to LiveKit's egress API and what its answers mean. The server here is scripted; a real one, with a real
worker's protocol, is in tests/platforms/test_livekit_egress.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from bot.platforms.livekit.egress import Egress, EgressApi, EgressError, EgressState, read_egress

SECRET = "s" * 32


def _api(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> EgressApi:
    really = httpx.AsyncClient
    monkeypatch.setattr(
        httpx, "AsyncClient", lambda **given: really(transport=httpx.MockTransport(answer), trust_env=False)
    )
    return EgressApi("wss://livekit.example.com/base/", "key", SECRET)


async def test_room_composite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound only, over RTMP, marked as ours; the token may record and nothing else, for a minute."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"egress_id": "EG_1"})  # what is not there has its default

    api = _api(monkeypatch, answer)
    hooks = ["http://bot:7890/"]
    assert await api.start_room_composite("standup", "rtmp://in/live/bot-1?k=x", "bot-1", hooks) == Egress(
        "EG_1", EgressState.STARTING
    )
    await api.close()
    (request,) = asked
    assert str(request.url) == "https://livekit.example.com/base/twirp/livekit.Egress/StartRoomCompositeEgress"
    assert json.loads(request.content) == {
        "room_name": "standup",
        "layout": "earshot:bot-1",
        "audio_only": True,
        "stream_outputs": [{"protocol": "RTMP", "urls": ["rtmp://in/live/bot-1?k=x"]}],
        "webhooks": [{"url": "http://bot:7890/", "signing_key": "key"}],
    }
    claims = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), SECRET, ["HS256"])
    assert claims["video"] == {"roomRecord": True}
    assert claims["iss"] == "key"
    assert claims["exp"] - claims["nbf"] <= 120


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"egressId": "EG_1", "status": "EGRESS_ACTIVE"}, Egress("EG_1", EgressState.ACTIVE)),
        ({"egress_id": "EG_1", "status": 4, "error": "no"}, Egress("EG_1", EgressState.FAILED, "no")),
        ({"egress_id": "EG_1", "status": 6, "details": "end"}, Egress("EG_1", EgressState.LIMIT_REACHED, "end")),
        (
            {"egressId": "EG_1", "roomComposite": {"layout": "earshot:bot-1"}},
            Egress("EG_1", EgressState.STARTING, "", "bot-1"),
        ),
        ({"egress_id": "EG_1", "room_composite": {"layout": "grid"}}, Egress("EG_1", EgressState.STARTING)),
        ({"egress_id": "EG_1", "room_composite": 7}, Egress("EG_1", EgressState.STARTING)),
    ],
)
def test_what_an_egress_looks_like(info: dict[str, Any], expected: Egress) -> None:
    """Names as in the proto file or in camelCase, states by name or number."""
    assert read_egress(info) == expected


@pytest.mark.parametrize("state", ["EGRESS_PAUSED", 99, -1, None, [], {}])
def test_unknown_state(state: Any) -> None:
    """A state that nobody here knows is an error, and no guess."""
    with pytest.raises(EgressError, match="nobody here knows"):
        read_egress({"egress_id": "EG_1", "status": state})


def test_which_states_are_over() -> None:
    """Only what starts or is active is worth waiting for."""
    assert [state for state in EgressState if not state.is_over] == [EgressState.STARTING, EgressState.ACTIVE]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (httpx.Response(401, json={"code": "unauthenticated", "msg": "invalid key"}), "unauthenticated", "apiSecret"),
        (httpx.Response(401, text="invalid token: error"), "unauthenticated", "apiSecret"),
        (httpx.Response(401, html="canary"), "bad_route", "not JSON"),
        (httpx.Response(404, json={"code": "not_found", "msg": "no such room"}), "not_found", "no such room"),
        (httpx.Response(429, json={"code": "resource_exhausted", "msg": "full"}), "resource_exhausted", "has room"),
        (httpx.Response(503, json={"code": "unavailable", "msg": "no response from servers"}), "unavailable", "worker"),
        (
            httpx.Response(500, json={"code": "internal", "msg": "egress not connected (redis required)"}),
            "internal",
            "has no Redis",
        ),
        (httpx.Response(500, json={"code": "internal", "msg": f"secret {SECRET}"}), "internal", "secret"),
        (httpx.Response(200, html="<html>canary</html>"), "bad_route", "not JSON"),
        (httpx.Response(404, text="404 page not found"), "bad_route", "not JSON"),
        (httpx.Response(200, json=[1]), "bad_route", "not JSON"),
    ],
)
async def test_refusals(answer: httpx.Response, code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has Twirp's code and words for people, what to do among them, and no secret."""
    api = _api(monkeypatch, lambda _: answer)
    with pytest.raises(EgressError, match=words) as failure:
        await api.start_room_composite("standup", "rtmp://in/live/x", "bot-1")
    await api.close()
    assert failure.value.code == code
    assert SECRET not in str(failure.value)
    assert "canary" not in str(failure.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectTimeout, r"cannot be reached .*ConnectTimeout"),
        (TimeoutError, r"within 15 s\. No egress worker"),
    ],
)
async def test_no_answer(error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there, or looks for a worker for too long, is an error like any other."""

    def hang_up(request: httpx.Request) -> httpx.Response:
        raise error("")

    api = _api(monkeypatch, hang_up)
    with pytest.raises(EgressError, match=words) as failure:
        await api.start_room_composite("standup", "rtmp://in/live/x", "bot-1")
    await api.close()
    assert failure.value.code == ""


async def test_looking_and_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is over is none to end; one that the server does not know is an error to look at."""
    said: dict[str, httpx.Response] = {
        "ListEgress": httpx.Response(200, json={}),
        "StopEgress": httpx.Response(412, json={"code": "failed_precondition", "msg": "cannot be stopped"}),
    }
    api = _api(monkeypatch, lambda request: said[request.url.path.rpartition("/")[2]])
    assert await api.active("standup") == []
    with pytest.raises(EgressError, match="knows no egress"):
        await api.look("EG_1")
    await api.stop("EG_1")
    said["StopEgress"] = httpx.Response(503, json={"code": "unavailable", "msg": ""})
    with pytest.raises(EgressError):
        await api.stop("EG_1")
    await api.close()
