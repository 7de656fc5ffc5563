"""What a release has to change in several places is the same in all of them."""

from __future__ import annotations

import re
import tomllib

from tests.support.source import ROOT


def test_images_carry_the_version_of_the_package() -> None:
    """In the labels of every image, however it is built."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docker").iterdir() if path.is_file()]
    said = [number for text in texts for number in re.findall(r"(?:ARG VERSION=|{VERSION:-)([^\s}]+)", text)]
    assert said
    assert set(said) == {version}
