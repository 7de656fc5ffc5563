"""What the HTTP API says where there is no route."""

from __future__ import annotations

import pytest

from tests.support.audio.recordings import web

PATH = "/v1/audio/transcriptions"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/v1/nothing", 404), ("POST", f"{PATH}/", 404), ("GET", PATH, 405)]
)
async def test_what_is_no_route_is_an_error_of_the_same_shape(method: str, path: str, status: int) -> None:
    """It names the routes that there are; nobody is sent to another address."""
    async with web() as at:
        answer = await at.http.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"].startswith(f"There is no {method} {path}: the routes are /health, /ready, /metrics, {PATH}")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)
