"""Redaction: credentials in URLs, secrets of the configuration and what looks like a token are never printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

MASK = "***"
MIN_SECRET_CHARACTERS = 6
"""Shorter secrets (a four-digit passcode) are masked by their key only: elsewhere they would eat innocent text."""
MAX_WORD_CHARACTERS = 12
"""A secret that may be a plain word, of so many letters in lower case at most, is masked only as a word of its own."""
SECRET_KEYS = frozenset(
    {"token", "passcode", "password", "secret", "api_secret", "apisecret", "internal_secret", "internalsecret"}
    | {"authorization", "api_key", "apikey", "jwt"}
)
"""Keys, in lower case, whose values are masked whatever they are."""
PUBLISHED_AS_IS = frozenset(
    {"text", "word", "segment_id", "speaker_id", "speaker_key", "uid", "connection_id", "meeting_id", "id"}
    | {"native_meeting_id", "container_name", "token", "type", "event", "status", "stage", "code", "platform"}
    | {"subject", "hearing", "action", "task", "language", "allowed_languages", "timestamp"}
)
"""Keys of payloads whose values reach consumers as they are: what was said, what it is found by, words of our own
vocabulary, and the token that the consumers themselves gave. A mask in an id would make two things one, and a passcode
may be `active`."""

_ADVICE = r"(?:(?:user)?:password@host:port|\[:password@\]host:port\[/db\])(?=[.,;)]?(?:\s|$))"
"""How we tell people to write a URL: that is all of it, and nobody's."""
_AFTER_SLASHES = re.compile(rf"(?<=//)(?!{_ADVICE})[^\s\"'<>]+")
"""A URL in a text, from its authority on; a password may have any of the characters that are not allowed there."""
_QUERY_VALUE = re.compile(r"([?&#])([^=&#?\s]+=)?([^&#\s]*)")
_HOST = re.compile(r"(\[[\da-fA-F:.]+\]|localhost|[\w-]+(?:\.[\w-]+)+)(:\d{1,5})?")
"""What before a slash is more likely a host than the beginning of a key: keys have no dots, or no slash."""
_NAME_AND_PORT = re.compile(r"(?:\[[\da-fA-F:.]+\]|[\w.-]+)(?::\d{0,5})?")
_JWT = re.compile(r"\bey[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\b")
"""Header and payload are JSON objects in base64, so that it begins with `ey`: other dotted names are no tokens."""
_ASSIGNED = re.compile(
    r"(?i)(token|api[_-]?key|api[_-]?secret|secret|password|passwd|passphrase|passcode|\bpwd|authorization)"
    r"([\\\"']{0,4}\s*[=:]\s*)(?!(?-i:Bearer KEY)(?![^\s`]))"  # that one is what we advise
    r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[\\\"']{0,2}(?:(?:bearer|basic|digest)\s+)?[^\s\"',;&}]+)"
)


def redact_url(url: str) -> str:
    """The URL without user, password and the values of query and fragment; what is no URL at all is masked as a whole.

    Nobody writes a password as RFC 3986 wants it: an `@` behind a slash may end a password or stand in a path. Only a
    name with dots, and no port, before that slash is taken for the host. Wherever both readings are left, what is a
    secret in one of them goes.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return MASK
    return f"{scheme}://{_redact_rest(rest)}"


def _redact_rest(rest: str) -> str:
    before, at, after = _credentials(rest)
    if not at:
        return _QUERY_VALUE.sub(_masked_value, rest)
    authority = _authority(rest)
    host = _HOST.fullmatch(authority)
    shown = f"{host[1]}:{MASK}" if host else MASK
    if _NAME_AND_PORT.fullmatch(authority.rpartition("@")[2]) and re.search("[?#]", before):
        return shown  # the last `@` may stand in a query: what follows it is the end of a value then, not a host
    return f"{shown}@{_QUERY_VALUE.sub(_masked_value, after)}"


def _credentials(rest: str) -> tuple[str, str, str]:
    """A URL from its authority on: what may be credentials, their `@` (both empty: there are none), and the rest."""
    host = _HOST.fullmatch(_authority(rest))
    if host and not host[2] and "//" not in rest:  # another URL may follow, with a password
        return "", "", rest
    return rest.rpartition("@")


def _authority(rest: str) -> str:
    return re.split("[/?#]", rest, maxsplit=1)[0]


def _masked_value(match: re.Match[str]) -> str:
    mark, name, value = match[1], match[2] or "", match[3]
    if not value or (mark == "#" and not name):  # only a fragment's name is a place in a page
        return match[0]
    return f"{mark}{name}{MASK}"


def url_secrets(url: str) -> list[str]:
    """What of a URL must not be printed: its password or key, and what its query gives (also percent-decoded)."""
    _, _, rest = url.partition("://")
    secrets = []
    for credentials, _, _ in (_credentials(rest), _authority(rest).rpartition("@")):  # as people write it, as RFC 3986
        user, colon, password = credentials.partition(":")
        secret = password if colon else user
        secrets += [secret, unquote(secret)]
    _, _, query = rest.partition("?")
    query = query.partition("#")[0]
    secrets += [value for _, value in parse_qsl(query)]
    secrets += [unquote(part) for part in query.split("&") if "=" not in part and not part.isalpha()]  # a key, no flag
    return [found for found in dict.fromkeys(secrets) if found]


class Redactor:
    """Replaces known secrets and whatever looks like one by `***`.

    Args:
        secrets: Exact values that must not appear, however a URL or JSON spells them; those shorter than
            `MIN_SECRET_CHARACTERS` are ignored, and what secrets are called: to mask `secret`, which LiveKit's `--dev`
            has, in "check key and secret" says what it is.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        kept = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS and secret not in SECRET_KEYS]
        spelled = {form for secret in kept for form in _spellings(secret)}
        known = sorted(spelled, key=len, reverse=True)
        self._known = re.compile("|".join(map(_pattern, known))) if known else None

    def __call__(self, text: str) -> str:
        """`text` with every secret masked."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _AFTER_SLASHES.sub(lambda match: _redact_rest(match[0]), text)
        text = _JWT.sub(MASK, text)
        return _ASSIGNED.sub(rf"\1\2{MASK}", text)

    def document(self, value: Any) -> Any:
        """A JSON value with every secret masked in its texts, at any depth, but not under `PUBLISHED_AS_IS`.

        Keys stay: they are ours, and a secret may be `status`. The value is left as it is; what comes back shares with
        it what needs no change.
        """
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {key: self._under(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return value

    def _under(self, key: str, value: Any) -> Any:
        if key in PUBLISHED_AS_IS or value is None:
            return value
        return MASK if key.lower() in SECRET_KEYS else self.document(value)


def _pattern(secret: str) -> str:
    """What finds it: a plain word only where it stands alone, since others have it in them."""
    pattern = re.escape(secret)
    is_word = secret.isalpha() and len(secret) <= MAX_WORD_CHARACTERS and (secret.islower() or secret.istitle())
    return rf"\b{pattern}\b" if is_word else pattern


def _spellings(secret: str) -> set[str]:
    in_json = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    try:
        return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *in_json}
    except UnicodeEncodeError:  # a lone surrogate: no URL has it
        return {secret, *in_json}


_ESCAPE_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, limit: int, *, keep_newlines: bool = False) -> str:
    """`text` fit for a terminal or a log: no escape sequences, control or bidi characters, at most `limit` long."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    plain = _ESCAPE_SEQUENCES.sub("", cut)
    if keep_newlines:
        return "\n".join(_UNPRINTABLE.sub(" ", line) for line in plain.split("\n"))
    return _UNPRINTABLE.sub(" ", plain)
