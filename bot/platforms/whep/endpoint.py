"""A WHEP endpoint: HTTP in which an SDP offer becomes a resource, and the resource is given back.

draft-ietf-wish-whep (RFC 9725 is its sister for publishing, WHIP). We offer, with every candidate in the offer; a
server that would rather offer answers 406 with an offer of its own, which is answered by PATCH. Link headers name ICE
servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from bot.answers import answer_of, authorities
from bot.platforms.whep.settings import WhepSettings
from bot.settings import forbidden, is_url
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import reason
from common.redact import redact_url

HTTP_TIMEOUT_S = 5.0
"""For each step of an answer, and ..."""
ANSWER_TIMEOUT_S = 10.0
"""... for all of it: some trickle."""
FAREWELL_TIMEOUT_S = 0.5
"""For giving a resource back."""
MAX_REDIRECTS = 5
MAX_SDP_BYTES = 256 * 1024
"""Of an answer; more is not read, and is no description."""
MAX_RETRY_AFTER_S = 60.0
MAX_ICE_SERVERS = 8
_SDP = "application/sdp"
_CREATED, _NO_OFFER_WANTED = (200, 201), 406
_REDIRECTS, _UNAUTHORIZED = (301, 302, 307, 308), (401, 403)
_UNAVAILABLE = (404, 409, 410, 425, 429, 500, 502, 503, 504)
_LINK = re.compile(r"<([^<>\s]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))")


class Unavailable(Exception):
    """Nobody publishes there now, or the server is busy: asked again later, it may have the stream.

    Args:
        status: Of the answer.
        again_s: When the server wants to be asked again, seconds; None: it did not say.
    """

    def __init__(self, status: int, again_s: float | None) -> None:
        super().__init__(f"it answered {status}")
        self.status, self.again_s = status, again_s


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server from a Link header."""

    url: str
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """What the endpoint made for us.

    Args:
        url: Where it is given back; None: the server did not say, or somewhere else than it may be.
        sdp: The server's description.
        is_offer: It is an offer in place of ours, to be answered by PATCH.
        etag: Of the resource.
    """

    url: str | None
    sdp: str
    is_offer: bool
    etag: str | None


def ice_servers(links: Iterable[str]) -> list[IceServer]:
    """The ICE servers in Link headers; whatever else or broken is in there is passed over."""
    found = []
    for link in links:
        for url, text in _LINK.findall(link):
            given = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(text)}
            if given.get("rel") == "ice-server" and re.match(r"(stuns?|turns?):[^\s/]", url):
                found.append(IceServer(url, given.get("username"), given.get("credential")))
    return found[:MAX_ICE_SERVERS]


def again(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, at most `MAX_RETRY_AFTER_S`; None: there is none in seconds."""
    if retry_after is None or not re.fullmatch(r"[0-9]{1,9}", retry_after.strip()):
        return None
    return min(float(retry_after), MAX_RETRY_AFTER_S)


class Endpoint:
    """One WHEP endpoint; `async with` it. No proxy of the environment is used.

    Args:
        url: http:// or https://.
        settings: Of the platform.
    """

    def __init__(self, url: str, settings: WhepSettings) -> None:
        self._url = url
        self._hosts = {(urlsplit(url).hostname or "").lower(), *(host.lower() for host in settings.redirect_hosts)}
        token = settings.bearer_token
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        is_plain = url.startswith("http://") and not settings.redirect_hosts
        verify = False if is_plain else authorities()
        self._client = httpx.AsyncClient(trust_env=False, verify=verify, timeout=HTTP_TIMEOUT_S, headers=headers)

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def where(self) -> str:
        """The endpoint, in words and without secrets."""
        return f"the WHEP endpoint {redact_url(self._url)}"

    async def ice_servers(self) -> list[IceServer]:
        """Those that the endpoint names before anything is made (OPTIONS); none where it names none. Raises OSError."""
        answer = await self._ask("OPTIONS", self._url)
        return ice_servers(answer.headers.get_list("link"))

    async def open(self, offer: str) -> Resource:
        """Has a resource made for an SDP offer.

        Raises:
            OSError: Nobody answered.
            Unavailable: There is no stream now.
            EarshotError: TOKEN_REFUSED, JOIN_REFUSED, or ROOM_UNREACHABLE where it is no WHEP endpoint.
        """
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._send("POST", url, offer)
            if answer.status_code not in _REDIRECTS:
                return self._resource(answer, url)
            url = self._redirected(answer, url)
        raise EarshotError(SubCode.JOIN_REFUSED, f"{self.where} redirects more than {MAX_REDIRECTS} times")

    async def answer(self, resource: Resource, sdp: str) -> None:
        """Answers an offer of the server. Raises as `open` does."""
        if resource.url is None:
            raise EarshotError(SubCode.JOIN_REFUSED, f"{self.where} offers, and does not say where it takes the answer")
        answer = await self._send("PATCH", resource.url, sdp, {"If-Match": resource.etag} if resource.etag else {})
        if answer.status_code in _UNAVAILABLE:
            raise Unavailable(answer.status_code, again(answer.headers.get("retry-after")))
        if not 200 <= answer.status_code < 300:
            words = f"{self.where} did not take our answer to its offer: {answer.status_code}"
            raise EarshotError(SubCode.JOIN_REFUSED, words)

    async def close(self, resource: Resource) -> None:
        """Gives a resource back, as far as that is possible; whoever does not answer is not waited for."""
        if resource.url is not None:
            with suppress(httpx.HTTPError, TimeoutError):
                await answer_of(self._client, "DELETE", resource.url, seconds=FAREWELL_TIMEOUT_S, most=0)

    async def _send(self, method: str, url: str, sdp: str, headers: dict[str, str] | None = None) -> httpx.Response:
        given = {"Content-Type": _SDP, "Accept": _SDP, **(headers or {})}
        return await self._ask(method, url, content=sdp, headers=given)

    async def _ask(self, method: str, url: str, **given: Any) -> httpx.Response:
        """An answer, of whose body only the beginning may be there. Raises OSError: there is none."""
        try:
            return await answer_of(self._client, method, url, seconds=ANSWER_TIMEOUT_S, most=MAX_SDP_BYTES + 1, **given)
        except TimeoutError:
            raise OSError(f"no whole answer within {ANSWER_TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OSError(reason(error) or type(error).__name__) from None

    def _redirected(self, answer: httpx.Response, url: str) -> str:
        target = self._allowed(answer.headers.get("location"), url)
        if target is None:
            words = f"{self.where} redirects elsewhere ({answer.status_code}); allow the host in `whep.redirectHosts`"
            raise EarshotError(SubCode.JOIN_REFUSED, words)
        return target

    def _allowed(self, location: str | None, url: str) -> str | None:
        """An address that the server names, if we may go there: its own host, or one that the settings name."""
        try:
            target = urljoin(url, location or "")
            host = (urlsplit(target).hostname or "").lower()
        except ValueError:
            return None
        schemes = ("https",) if url.startswith("https:") else ("http", "https")
        ok = location and is_url(target, *schemes) and host in self._hosts and forbidden(target) is None
        return target if ok else None

    def _resource(self, answer: httpx.Response, url: str) -> Resource:
        status = answer.status_code
        if status in _UNAUTHORIZED:
            words = f"{self.where} answered {status}: check `whep.bearerToken`"
            raise EarshotError(SubCode.TOKEN_REFUSED, words)
        if status in _UNAVAILABLE:
            raise Unavailable(status, again(answer.headers.get("retry-after")))
        is_sdp = answer.headers.get("content-type", "").partition(";")[0].strip().lower() == _SDP
        if status not in (*_CREATED, _NO_OFFER_WANTED) or (status == _NO_OFFER_WANTED and not is_sdp):
            words = f"{self.where} refused our offer: it answered {status}; is it a WHEP endpoint?"
            raise EarshotError(SubCode.JOIN_REFUSED, words)
        if not is_sdp or len(answer.content) > MAX_SDP_BYTES:
            words = f"what answers at {redact_url(self._url)} is no WHEP endpoint: {status} without an SDP"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words)
        resource = self._allowed(answer.headers.get("location"), url)
        return Resource(resource, answer.text, status == _NO_OFFER_WANTED, answer.headers.get("etag"))
