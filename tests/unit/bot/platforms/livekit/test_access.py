"""Tokens and refusals, without a server."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr

from bot.platforms.base import Invitation
from bot.platforms.livekit.access import TOKEN_LIFE_S, ask_server, room_token
from bot.platforms.livekit.settings import LiveKitSettings
from common.contracts.status import SubCode
from common.errors import EarshotError

SECRET = "s" * 32
NOW = 1_700_000_000.0


def _invited(**changes: Any) -> Invitation:
    usual: dict[str, Any] = {"meeting_url": "ws://h:7880", "connection_id": "bot-1", "bot_name": "Earshot"}
    return Invitation(**(usual | changes))


def _settings(**changes: Any) -> LiveKitSettings:
    usual: dict[str, Any] = {"room": "r", "api_key": "k", "api_secret": SecretStr(SECRET)}
    return LiveKitSettings(**(usual | changes))


def _given(video: Any = None, **claims: Any) -> str:
    grants = {"room": "r", "roomJoin": True} if video is None else video
    return jwt.encode({"iss": "k", "exp": NOW + 60, "video": grants} | claims, SECRET)


def test_minted_token() -> None:
    """It opens one room for at most six hours, to listen only, unseen, under an identity that stays the same."""
    tokens = [room_token(_invited(settings=_settings()), now) for now in (NOW, NOW + 5)]
    first, second = (jwt.decode(token, SECRET, ["HS256"], options={"verify_exp": False}) for token in tokens)
    assert first["sub"] == second["sub"] == "bot-1"
    assert first["name"] == "Earshot"
    assert first["iss"] == "k"
    assert first["nbf"] <= NOW < first["exp"] <= NOW + TOKEN_LIFE_S <= NOW + 6 * 3600
    video = first["video"]
    assert (video["room"], video["roomJoin"], video["canSubscribe"], video["hidden"]) == ("r", True, True, True)
    assert (video["canPublish"], video["canPublishData"], video["canUpdateOwnMetadata"]) == (False, False, False)


def test_minted_with_identity_and_name() -> None:
    """Identity and name of the settings go before the bot's; about a short secret the configuration has warned."""
    settings = _settings(identity="ear", name="Ear", api_secret=SecretStr("secret"))
    claims = jwt.decode(room_token(_invited(settings=settings), NOW), options={"verify_signature": False})
    assert (claims["sub"], claims["name"]) == ("ear", "Ear")


def test_given_token_is_used() -> None:
    """A token that is given goes as it is, with or without `livekit`."""
    token = _given()
    assert room_token(_invited(token=token), NOW) == token
    assert room_token(_invited(token=token, settings=_settings()), NOW) == token
    forever = jwt.encode({"video": {"room": "r", "roomJoin": True}}, SECRET)
    assert room_token(_invited(token=forever), NOW) == forever


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({}, SubCode.TOKEN_REFUSED, "`livekit` with room"),
        ({"token": "not-a-jwt"}, SubCode.TOKEN_REFUSED, "not a JWT"),
        ({"token": _given(video={"room": "r"})}, SubCode.TOKEN_REFUSED, "roomJoin"),
        ({"token": _given(video={"roomJoin": True})}, SubCode.TOKEN_REFUSED, "video.room"),
        ({"token": _given(video="all")}, SubCode.TOKEN_REFUSED, "roomJoin"),
        (
            {"token": _given(video={"room": "r", "roomJoin": True, "canSubscribe": False})},
            SubCode.TOKEN_REFUSED,
            "canSubscribe",
        ),
        ({"token": _given(), "settings": _settings(room="other")}, SubCode.TOKEN_REFUSED, "'other'"),
        ({"token": _given(exp=NOW - 90)}, SubCode.TOKEN_EXPIRED, "expired 90 s ago"),
    ],
)
def test_hopeless_tokens(given: dict[str, Any], code: SubCode, words: str) -> None:
    """What no server would take is refused before anything is dialled, with the reason and without the token."""
    invitation = _invited(**given)
    with pytest.raises(EarshotError) as failure:
        room_token(invitation, NOW)
    assert failure.value.code is code
    assert words in str(failure.value)
    assert invitation.token is None or invitation.token not in str(failure.value)


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (401, "invalid token: {token}, error: signature", SubCode.TOKEN_REFUSED),
        (403, "permissions denied", SubCode.TOKEN_REFUSED),
        (401, "invalid token: {token}, error: token is expired", SubCode.TOKEN_EXPIRED),
        (404, "requested room does not exist", SubCode.JOIN_REFUSED),
        (503, "", SubCode.JOIN_REFUSED),
    ],
)
async def test_refusals(status: int, words: str, code: SubCode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server answers becomes a sub-code and its words, without the token and without the URL's secrets."""
    token = _given()
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, text=words.format(token=token))

    _serve(monkeypatch, answer)
    with pytest.raises(EarshotError) as failure:
        await ask_server("wss://h/base/?key=hidden", token)
    assert failure.value.code is code
    assert token not in str(failure.value)
    assert "hidden" not in str(failure.value)
    assert str(asked[0].url) == "https://h/base/rtc/validate"
    assert asked[0].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("status", [200, 401, 404, 502])
async def test_a_web_page_is_no_livekit_server(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in one sentence without the page, and no host can let anybody in there."""
    _serve(monkeypatch, lambda _: httpx.Response(status, html="<html><body>canary</body></html>"))
    with pytest.raises(EarshotError, match=rf"h:7880 answered {status} and a web page.*`meetingUrl`") as failure:
        await ask_server("ws://h:7880", "token")
    assert failure.value.code is SubCode.ROOM_UNREACHABLE
    assert "canary" not in str(failure.value)


async def test_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that would let us in is not an error."""
    _serve(monkeypatch, lambda _: httpx.Response(200, text="success"))
    await ask_server("ws://h:7880", "token")


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is named, with the reason."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    _serve(monkeypatch, refuse)
    with pytest.raises(EarshotError, match=r"h:7880.*connection refused") as failure:
        await ask_server("ws://h:7880", "token")
    assert failure.value.code is SubCode.ROOM_UNREACHABLE


def _serve(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    client = httpx.AsyncClient

    def stub(**options: Any) -> httpx.AsyncClient:
        assert options["trust_env"] is False
        return client(transport=httpx.MockTransport(answer))

    monkeypatch.setattr(httpx, "AsyncClient", stub)
