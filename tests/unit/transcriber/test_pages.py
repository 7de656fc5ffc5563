"""What the transcriber's pages list is all that there is."""

from __future__ import annotations

import re
from dataclasses import fields

from common.contracts.health import TranscriberHealth
from tests.support.source import ROOT
from transcriber.core.filters import Verdict

PAGE = (ROOT / "docs" / "transcriber.md").read_text(encoding="utf-8")


def listed(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    section = PAGE.partition(f"# {heading}\n")[2].partition("\n#")[0]
    rows = (row.split("|")[1] for row in section.splitlines() if row.startswith("| `"))
    return {name for row in rows for name in re.findall("`([^`]+)`", row)}


def test_every_verdict_is_explained() -> None:
    """Those of a text, and those about a pass."""
    decoding = (ROOT / "transcriber" / "decoding.py").read_text(encoding="utf-8")
    of_passes = set(re.findall(r'PassResult\(\s*"([^"]+)"', decoding)) | {"loop cut", "doubtful"}
    assert {"silence", "failed", "decoded"} <= of_passes
    assert listed("Verdicts") == {verdict.value for verdict in Verdict} | of_passes


def test_every_field_of_health_is_explained() -> None:
    """Beside the two numbers of clients and the model, whose names say it; for each kind of engine."""
    told = {field.name for field in fields(TranscriberHealth)} - {"model", "clients", "max_clients"}
    assert told <= listed("Health")
