"""Problems, for people: which key of a configuration or an option, what stands there, what is allowed, secrets masked;
why a file or an address cannot be used."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import MASK, redact_url

MAX_VALUE_CHARACTERS = 80
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a configuration, an option or a variable of the environment.

    Args:
        path: Where, such as `automaticLeave.timeout` or `whisperLiveUrl[1]`.
        value: What stands there as JSON, secrets masked; `(missing)` when nothing does.
        allowed: What may stand there.
    """

    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}: {self.value}; allowed: {self.allowed}"


class ConfigError(EarshotError):
    """The configuration cannot be used; `problems` has every reason, `warnings` what else was odd about it."""

    def __init__(
        self,
        problems: Sequence[Problem],
        warnings: Sequence[str] = (),
        code: SubCode = SubCode.CONFIG_INVALID,
        what: str = "the configuration",
    ) -> None:
        self.count = f"{len(problems)} error{'s' if len(problems) != 1 else ''} in {what}"
        super().__init__(code, "\n".join([self.count, *(f"  {problem}" for problem in problems)]))
        self.problems = list(problems)
        self.warnings = list(warnings)


def shown(value: object, secret: bool = False) -> str:
    """A value as JSON for people: cut, URLs without credentials, secrets masked (a secret URL keeps its host)."""
    if secret and not (isinstance(value, str) and "://" in value):
        return MASK
    text = json.dumps(_without_credentials(value), ensure_ascii=True)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}…"


def _without_credentials(value: object) -> object:
    """Also in a list, where a URL was expected, and where a slash of one is missing."""
    match value:
        case str() if "://" in value:
            return redact_url(value)
        case str() if ":/" in value and "?" in value:
            return f"{value.partition('?')[0]}?{MASK}"
        case list():
            return [_without_credentials(item) for item in value]
        case dict():
            return {key: _without_credentials(item) for key, item in value.items()}
    return value


def reason(error: Exception) -> str:
    """Why a file or an address cannot be used, in the system's words, without its numbers.

    Where a library says less than the system's error that was its cause, that is it.
    """
    match error:
        case UnicodeDecodeError():
            return "not UTF-8 text"
        case UnicodeError():
            return "no host has such a name"
        case socket.gaierror():
            return error.strerror or "unknown name"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():  # its number is none of the system's
            return f"TLS: {(getattr(error, 'reason', None) or str(error)).replace('_', ' ').lower()}"
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case _:
            cause: BaseException | None = error
            while cause is not None and not (isinstance(cause, OSError) and cause.errno):
                cause = cause.__cause__ or cause.__context__
            return str(error) if cause is None else reason(cause)
