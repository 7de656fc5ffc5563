"""Settings under the key `browser`: which Chromium, how it is started, and what it leaves behind for people to see."""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from bot.settings import Settings, Text, is_url


def _proxy(secret: SecretStr | None) -> SecretStr | None:
    """Of others Chromium says that it does not start, or that the meeting's page does not open."""
    url = secret.get_secret_value() if secret else "http://none"
    if not is_url(url, "http", "https", "socks5") or ("@" in url and urlsplit(url).scheme == "socks5"):
        raise PydanticCustomError("proxy", "http://[user:password@]host:port or socks5://host:port")
    return secret


def _session(secret: SecretStr | None) -> SecretStr | None:
    """It would be found out when the meeting is joined."""
    try:
        session = json.loads(secret.get_secret_value()) if secret else {"cookies": []}
    except (ValueError, RecursionError):
        session = None
    if not isinstance(session, dict) or not session.keys() & {"cookies", "origins"}:
        raise PydanticCustomError("session", "JSON of a signed-in session, as `earshot login` stores it")
    return secret


Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{4})?(-[A-Z]{2})?$")]

Headless: TypeAlias = Literal["shell", "new", "window"]


class BrowserSettings(Settings):
    """How the platforms that are web pages are opened; the others do not read it."""

    executable: Text | None = Field(
        default=None, description="Path of Chromium; else EARSHOT_CHROMIUM, else Playwright's, else the system's."
    )
    headless: Headless = Field(
        default="shell",
        description="shell: Chromium's headless shell, half the memory. new: the full browser without a window. "
        "window: with one (needs a screen).",
    )
    allow_no_sandbox: bool = Field(
        default=False, description="Starts Chromium without its sandbox, which it needs to run as root."
    )
    locale: Locale = Field(default="en-US", description="Language of the pages, which their words are read in.")
    user_agent: Text | None = Field(
        default=None, description="What sites are told the browser is; default: Chrome of the same version."
    )
    proxy: Annotated[SecretStr | None, AfterValidator(_proxy)] = Field(
        default=None, description="http://[user:password@]host:port or socks5://host:port for all pages.", min_length=1
    )
    storage_state: Annotated[SecretStr | None, AfterValidator(_session)] = Field(
        default=None, description="JSON of a signed-in session, as Playwright stores it.", min_length=1
    )
    selectors_dir: Text | None = Field(
        default=None, description="Folder of selector packs that go before ours, a file per platform."
    )
    view: bool = Field(
        default=False,
        description="Whether a person may see the page and act in it while the bot is outside the meeting; the address "
        "is in the log when help is needed.",
    )
    view_host: Text = Field(default="127.0.0.1", description="Address that the live view is served on.")
    view_port: int = Field(default=0, ge=0, le=65_535, description="Its port; 0: any that is free.")
    evidence_dir: Text | None = Field(
        default=None, description="Folder for what a page looked like when a meeting failed; null: none is kept there."
    )
    evidence_upload: bool = Field(default=False, description="Whether the same also goes to `objectStore`.")
    trace: bool = Field(
        default=False,
        description="Whether evidence has a Playwright trace of the way in, too: with all that the pages showed, names "
        "and links with their secrets as well.",
    )
