"""How a run of the faults becomes numbers."""

from __future__ import annotations

from pathlib import Path

from bench.faults import merged, named, numbers, outcomes


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


def test_what_was_run_again_says_so() -> None:
    """Outcomes and numbers are the later ones, and how they came about stands beside those of the whole run."""
    whole = {"date": "d1", "tests": {"a": 1, "b": 1}, "numbers": {"a": {}}}
    later = {"date": "d2", "rounds": 5, "workers": 2, "load_before": 1.0, "note": "", "minutes": 1, "cores": 2}
    found = merged(
        merged(whole, later | {"tests": {"b": 2}, "numbers": {}}), later | {"tests": {"c": 3}, "numbers": {}}
    )
    assert (found["date"], found["tests"]) == ("d1", {"a": 1, "b": 2, "c": 3})
    assert [(again["date"], again["tests"]) for again in found["again"]] == [("d2", ["b"]), ("d2", ["c"])]
