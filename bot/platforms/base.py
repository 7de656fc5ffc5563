"""A platform's contract: what it owes the bot, what it says about itself, and all that it gets to know.

A platform turns one kind of meeting into `PlatformEvent`s and `AudioFrame`s. It never talks to Redis, to the
transcriber or to the state machine, has no policy (when to leave, who matters), and frees everything it opened when
`attend` returns, raises or is cancelled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bot.core.events import PlatformEvent
from bot.core.orders import Order
from bot.drivers.browser.settings import BrowserSettings
from bot.platforms.orders import Orders
from bot.settings import ObjectStoreSettings, Settings
from common.contracts.status import SubCode
from common.destinations.policy import hosted_host
from common.problems import Problem

if TYPE_CHECKING:  # numpy: not needed to describe a platform
    from bot.audio.frame import AudioFrame


class Budget(Protocol):
    """One of what all bots share a number of, if it can be had."""

    used_for: str
    """Id of what it is used for: whoever gets the next one is told of it, should this bot die, or give it back so."""

    @property
    def left_behind(self) -> tuple[str, ...]:
        """Such ids of bots that died, as they were told when ours was granted."""

    async def ask(self) -> bool:
        """Takes it or renews it, to be called every few seconds: whether it is ours. It may not be any longer."""

    async def give_back(self) -> None:
        """Lets go of it, or of waiting for it. Never fails."""


class Budgets(Protocol):
    """Where they are kept."""

    def __call__(self, name: str, who: str, total: int) -> Budget:
        """Of what is called `name`, of which there are `total` for all bots, one for `who`: nobody gets two for it."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a platform needs to join one meeting; nothing of Redis or the transcriber.

    Args:
        meeting_url: Where the meeting is; its form is the platform's.
        connection_id: Unique to this bot: our identity where the platform lets us choose one.
        bot_name: Our display name.
        native_meeting_id: The platform's own id of the meeting.
        settings: The platform's own settings, an instance of its model; None: not given.
        token: Opens the room, where the platform says that a token does.
        passcode: Of the meeting.
        browser: How a platform that is a web page opens it.
        addresses: Of a hosted platform's host, as they were checked: to be connected to without another look-up.
        object_store: The bucket for files, where there is one.
        budgets: Where what all bots share a number of is kept; None: nowhere.
    """

    meeting_url: str | None
    connection_id: str
    bot_name: str
    native_meeting_id: str | None = None
    settings: Any = None
    token: str | None = field(default=None, repr=False)
    passcode: str | None = field(default=None, repr=False)
    browser: BrowserSettings = field(default_factory=BrowserSettings)
    addresses: tuple[str, ...] = ()
    object_store: ObjectStoreSettings | None = None
    budgets: Budgets | None = field(default=None, repr=False)


class Listener(Protocol):
    """Who a platform reports to. Both methods are synchronous, cheap, and are called from the event loop's thread."""

    def event(self, event: PlatformEvent) -> None:
        """Something happened in the meeting."""

    def audio(self, frame: AudioFrame) -> None:
        """A piece of an opened track arrived."""


class Platform(ABC):
    """One kind of meeting. Takes no arguments; registered in `bot.platforms.PLATFORMS`.

    Made also to ask what it says about itself, for a configuration or its schema: so its module imports lightly, and
    `prepare` and `attend` import what joining needs.
    """

    settings_model: ClassVar[type[Settings] | None] = None
    """Model of its own settings, which stand under its name in the configuration; None: it has none."""
    hosts: ClassVar[tuple[str, ...]] = ()
    """Of a hosted platform, its hosts: meeting URLs lead to one of them, or below it, at public addresses. Empty: rooms
    are on servers of one's own."""
    token_opens_room: ClassVar[bool] = False
    """Whether `token` opens the room: then it is ours alone. Elsewhere it is the consumers', and is passed on."""

    opens_page: ClassVar[bool] = False
    """Whether it is a web page, which is opened in a Chromium as `browser` says."""

    carries_out: ClassVar[frozenset[type[Order]]] = frozenset()
    """The orders that it can carry out; it is given no others, and whoever asks for one is told so."""

    @abstractmethod
    def claims(self, url: str) -> bool:
        """Whether this platform serves the meeting URL. Pure; at most one platform claims a URL."""

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """What a configuration lacks to find and enter the room; errors of single settings are found without it.

        Args:
            given: Values as they stand in the configuration, wrong ones too, and only those that are there:
                `meetingUrl`, `nativeMeetingId`, `connectionId`, `botName`, `token`, `passcode`, `browser`, and our own
                settings under our name.
        """
        return []

    def warnings(self, invitation: Invitation) -> list[str]:
        """What is valid and probably not what its author wants."""
        return []

    def host(self, url: str) -> str | None:
        """Of a hosted platform: which of its hosts a meeting URL leads to; None: none of them."""
        return hosted_host(url, self.hosts)

    def address(self, invitation: Invitation) -> str | None:
        """Of a hosted platform: the URL whose host is looked up, and must be public; None: there is none to look up."""
        return invitation.meeting_url or ""

    def prepare(self) -> None:  # noqa: B027 (where attending imports nothing heavy, nothing is to be done)
        """Imports what joining needs; called in a thread before `attend`, whose own import then holds up nobody."""

    async def try_out(self, invitation: Invitation) -> str | None:
        """Tries what attending needs of this machine, joining nothing: what works, in words; None: nothing to try here.

        Raises:
            EarshotError: As `attend` would.
        """
        return None

    def neighbours(self, invitation: Invitation) -> list[tuple[str, str, SubCode | None]]:
        """What attending connects to beside the meeting's server: setting, URL, and how the bot ends without it.

        None: it does without. Only asked by who tries things out.
        """
        return []

    @abstractmethod
    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Joins the meeting and stays until it is over or told to leave; then leaves and returns why it ended.

        Order: `LobbyEntered` (if there is a lobby) → `Admitted` → participants and tracks already there → what
        happens. A track is told of when it is there, heard or not; one of nobody in particular adds nobody, so it goes
        with `PeopleCounted`. Short breaks of the connection are survived with `TransportLost` / `TransportBack` around
        them.

        Returns:
            LEFT_BY_COMMAND when `orders.leaving` was set, MEETING_ENDED, REMOVED or DUPLICATE_IDENTITY.

        Raises:
            EarshotError: With a sub-code that says what to do (`common.contracts.status`), and a message that names the
                setting or the peer. Nobody answers: ROOM_UNREACHABLE. Neither in nor in a lobby within 20 s, of a page
                within 90 s: JOIN_TIMEOUT. A connection that does not come back: CONNECTION_LOST.
        """
