"""The stage at which a page is, from one look at it. Inside is only what is proved; whoever is in doubt is outside."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from bot.platforms.pages.look import Look


class Stage(StrEnum):
    """Where we are, as the page shows it."""

    UNKNOWN = "unknown"
    """Nothing that the pack knows: still loading, or changed."""
    DOOR = "door"
    """The page before the meeting: name, devices, join."""
    LOBBY = "lobby"
    NOT_STARTED = "not_started"
    CONSENT = "consent"
    CAPTCHA = "captcha"
    SIGN_IN = "sign_in"
    INSIDE = "inside"
    RECONNECTING = "reconnecting"
    UNANSWERED = "unanswered"
    DENIED = "denied"
    BLOCKED = "blocked"
    BOTS_REFUSED = "bots_refused"
    NOT_FOUND = "not_found"
    FULL = "full"
    PASSCODE_REFUSED = "passcode_refused"
    ENDED = "ended"
    REMOVED = "removed"
    LEFT = "left"


_BEFORE_PROOF = (
    (Stage.CAPTCHA, "captcha"),  # it stands beside words that read like a refusal
    (Stage.BOTS_REFUSED, "bots_refused"),  # likewise beside an invitation to sign in
    (Stage.REMOVED, "removed"),
    (Stage.DENIED, "denied"),  # the words of the lobby may still be there
    (Stage.UNANSWERED, "unanswered"),
    (Stage.ENDED, "ended"),
    (Stage.NOT_STARTED, "not_started"),  # some pages say so in almost the words of the next one
    (Stage.NOT_FOUND, "not_found"),
    (Stage.FULL, "full"),
    (Stage.PASSCODE_REFUSED, "passcode_refused"),
    (Stage.SIGN_IN, "sign_in"),
    (Stage.CONSENT, "consent"),
    (Stage.LOBBY, "lobby"),
)
"""In this order, and before any proof that we are inside: each of them says that we are not, or not yet."""


def stage(look: Look, sign_in_hosts: Collection[str] = (), tiles_prove: bool = False) -> Stage:
    """Where the page is.

    Args:
        look: What was seen.
        sign_in_hosts: Hosts, and those below them, whose pages want an account.
        tiles_prove: Whether anybody's tile proves that we are inside.
    """
    if any(look.host == host or look.host.endswith(f".{host}") for host in sign_in_hosts):
        return Stage.SIGN_IN
    if look.joined is True:  # the page's own word goes before whatever is left in it from before
        found = next((found for found, sign in _BEFORE_PROOF[:3] if sign in look.signs), Stage.INSIDE)
        return Stage.RECONNECTING if found is Stage.INSIDE and "reconnecting" in look.signs else found
    for found, sign in _BEFORE_PROOF:
        if sign in look.signs:
            return found
    if "join" in look.controls:  # also inside, where the page asks once more: it is not over before that is answered
        return Stage.DOOR
    if "reconnecting" in look.signs:
        return Stage.RECONNECTING
    is_proved = "inside" in look.signs or (tiles_prove and bool(look.people))
    if is_proved and look.joined is not False:
        return Stage.INSIDE
    if "name" in look.controls or "passcode" in look.controls:
        return Stage.DOOR
    if "left" in look.signs:
        return Stage.LEFT
    return Stage.BLOCKED if "blocked" in look.signs else Stage.UNKNOWN
