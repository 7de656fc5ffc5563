"""How a run of the faults becomes numbers."""

from __future__ import annotations

from pathlib import Path

from bench.faults import named, numbers, outcomes


def test_names_are_those_of_promises() -> None:
    """Without parameters; a class stands between."""
    assert named("tests.faults.test_rtp", "test_x[7-jump]") == "tests/faults/test_rtp.py::test_x"
    assert named("tests.platforms.test_a.TestA", "test_y") == "tests/platforms/test_a.py::TestA::test_y"


def test_outcomes_are_counted_per_test(tmp_path: Path) -> None:
    """Passed, failed (an error in a fixture too), skipped."""
    report = tmp_path / "report.xml"
    case = '<testcase classname="tests.a" name="test_b[{}]" time="{}">{}</testcase>'
    cases = [case.format(1, 2.04, ""), case.format(2, 7, "<failure/>"), case.format(3, 1, "<error/>"),
             case.format(4, 0, "<skipped/>")]  # fmt: skip
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    assert outcomes(report) == {"tests/a.py::test_b": {"passed": 1, "failed": 2, "skipped": 1, "longest_s": 7.0}}


def test_numbers_of_all_rounds_stand_together() -> None:
    """Sorted, under their test and name."""
    lines = '{"test": "t", "seed": 1, "a_s": 2.0, "b": 1}\n{"test": "t", "seed": 2, "a_s": 1.0}\n'
    assert numbers(lines) == {"t": {"a_s": [1.0, 2.0], "b": [1]}}
