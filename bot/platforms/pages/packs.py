"""Sources of selector packs: our own, in the platform's folder, or a file that goes before it."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from bot.platforms import PLATFORMS
from bot.platforms.pages.pack import Pack, PackError, read_pack
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import reason

MAX_BYTES = 256 * 1024


def load_pack(platform: str, selectors_dir: str | None = None) -> Pack:
    """The platform's pack: of `browser.selectorsDir`, if there is one for it, else our own.

    Raises:
        EarshotError: CONFIG_INVALID: there is no such folder, or every problem of the file, and its path.
    """
    if selectors_dir is not None and not Path(selectors_dir).is_dir():
        raise EarshotError(SubCode.CONFIG_INVALID, f"browser.selectorsDir: {selectors_dir} is no folder")
    if selectors_dir is not None and (path := pack_path(platform, selectors_dir)).is_file():
        try:
            return parse_pack(path.read_text(encoding="utf-8")[:MAX_BYTES], platform)
        except (PackError, OSError, UnicodeDecodeError) as error:
            words = str(error) if isinstance(error, PackError) else reason(error)
            told = "\n".join(f"  {line}" for line in words.splitlines())
            raise EarshotError(
                SubCode.CONFIG_INVALID, f"browser.selectorsDir: {path} is no selector pack:\n{told}"
            ) from None
    return parse_pack(our_text(platform), platform)


def pack_path(platform: str, selectors_dir: str) -> Path:
    """Where the platform's pack is in such a folder, if it is."""
    return Path(selectors_dir, f"{platform}.toml")


def our_text(platform: str) -> str:
    """The file of our own pack."""
    return own_text(platform, "selectors.toml")


def own_text(platform: str, name: str) -> str:
    """A file of the platform's folder, wherever that is: `PLATFORMS` may name one from outside."""
    return files(PLATFORMS[platform].partition(":")[0]).joinpath(name).read_text(encoding="utf-8")


def parse_pack(text: str, platform: str) -> Pack:
    """A pack from the text of its file. Raises PackError."""
    try:
        return read_pack(tomllib.loads(text), platform)
    except tomllib.TOMLDecodeError as error:
        raise PackError([f"not TOML: {error}"]) from None
