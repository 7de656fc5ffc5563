"""Which words are certain, and that they stay what they are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.agreement import MAX_COMMIT_END_S, TRIM_MARGIN_S, LocalAgreement, Unit, units
from transcriber.core.windows import Word


def text(said: list[Unit]) -> str:
    """What is shown."""
    return "".join(unit.text for unit in said)


def hear(agreement: LocalAgreement, said: str, heard: float | None = None) -> str:
    """A pass without word times, over half a second more than the one before."""
    return text(agreement.hear(units(said), agreement._counted_s + 0.5 if heard is None else heard))


def timed(said: str, probability: float = 0.9) -> list[Unit]:
    """Words of half a second each."""
    words = [Word(f" {word}", n / 2, n / 2 + 0.5, probability) for n, word in enumerate(said.split())]
    return units(said, words)


def test_words_that_three_passes_agree_on_are_committed() -> None:
    """Whatever their case and punctuation; the rest is shown and may change."""
    agreement = LocalAgreement()
    assert hear(agreement, "so we meat") == " so we meat"
    assert hear(agreement, "so we meet") == " so we meet"
    assert agreement.committed == []
    assert hear(agreement, "So, we meet to") == " So, we meet to"
    assert text(agreement.committed) == " So, we"
    assert hear(agreement, "see me meet today") == " So, we meet today"
    assert text(agreement.committed) == " So, we meet"


def test_signs_agree_whatever_their_punctuation_and_only_with_their_vowels() -> None:
    """As words of other scripts do."""
    agreement = LocalAgreement()
    hear(agreement, "今日天")
    hear(agreement, "今日、天")
    hear(agreement, "今日、天気")
    assert text(agreement.committed) == " 今日、天"
    for before, after in (("की बात", "का बात"), ("กิน", "กัน")):
        agreement = LocalAgreement()
        hear(agreement, before)
        hear(agreement, after)
        hear(agreement, before)
        assert agreement.committed == []


def test_words_of_two_languages_have_nothing_in_common() -> None:
    """The next pass in the new one begins anew."""
    agreement = LocalAgreement()
    for n, language in enumerate(("ja", "ja", "ko", "ja", "ja"), 1):
        agreement.hear(units("a b"), n / 2, language=language)
        assert agreement.committed == []
    agreement.hear(units("a b"), 5.0, language="ja")
    assert text(agreement.committed) == " a b"


def test_passes_in_a_language_that_is_not_sure_do_not_count() -> None:
    """Two that were not and one that is are no agreement; what they say is shown after what is committed."""
    agreement = LocalAgreement()
    for n, sure in enumerate((False, False, True, True, False, True, True), 1):
        assert text(agreement.hear(units("a b"), n / 2, language="ja", sure=sure)) == " a b"
        assert agreement.committed == []
    agreement.hear(units("a"), 5.0, language="ja")
    assert text(agreement.committed) == " a"
    assert text(agreement.hear(units("a c"), 5.5, language="ja", sure=False)) == " a c"


def test_two_passes_commit_nothing() -> None:
    """However sure the model is and however long ago the words ended; a third one has to say the same."""
    agreement = LocalAgreement()
    for heard in (8.0, 9.0):
        agreement.hear(timed("one two three four", probability=1.0), heard)
    assert (agreement.committed, agreement.until) == ([], 0.0)
    agreement.hear(timed("one two tree"), 10.0)
    assert (text(agreement.committed), agreement.until) == (" one two", 1.0)


def test_a_pass_that_came_to_nothing_agrees_with_none() -> None:
    """Whatever the passes before and after it have in common."""
    agreement = LocalAgreement()
    for _ in range(2):
        for _ in range(2):
            hear(agreement, "hm yes")
        agreement.miss()
    assert agreement.committed == []


def test_passes_over_the_same_sound_count_as_one() -> None:
    """The last of them: three in a short pause may all hear "is not" for "ask not"; with more audio they agree."""
    agreement = LocalAgreement()
    for heard in (0.6, 0.9, 0.95):
        assert hear(agreement, "is not", heard) == " is not"
    hear(agreement, "ask not", 1.2)
    assert agreement.committed == []
    hear(agreement, "ask not", 1.4)
    hear(agreement, "ask not", 1.45)
    hear(agreement, "ask not what", 1.9)
    assert agreement.committed == []
    hear(agreement, "ask not what", 2.3)
    assert text(agreement.committed) == " ask not"


def test_a_later_pass_knows_better_when_a_committed_word_was_said() -> None:
    """The word stays as it is written, heard differently or not; one that is not heard again keeps its time."""
    agreement = LocalAgreement()
    for heard in (2.5, 3.0, 3.5):
        agreement.hear(timed("One two and three five"), heard)
    later = [replace(unit, start=unit.start + 0.1, end=unit.end + 0.1) for unit in timed("one, too and five six")]  # type: ignore[operator]
    final = agreement.conclude(later)
    assert [(unit.text, unit.start) for unit in final] == [
        (" One", 0.1), (" two", 0.6), (" and", 1.1), (" three", 1.5), (" five", 1.6), (" six", 2.1),
    ]  # fmt: skip


def test_a_committed_word_that_is_heard_as_another_one_keeps_its_probability() -> None:
    """A pass that hears something else, however sure it is of that, only knows better when it was."""
    agreement = LocalAgreement()
    for heard in (2.5, 3.0, 3.5):
        agreement.hear(timed("one tree", probability=0.5), heard)
    final = agreement.conclude(timed("One, three four", probability=0.9))
    assert [(unit.text, unit.probability) for unit in final] == [(" one", 0.9), (" tree", 0.5), (" four", 0.9)]


def test_signs_that_stand_alone_are_no_words() -> None:
    """They agree with their word, there or not, have its times, and no word is taken for one of them."""
    said = units(
        "Tu viens ? - Oui", [Word(" Tu", 0, 0.2, 0.9), Word(" viens ?", 0.2, 0.5, 0.9), Word(" - Oui", 0.6, 1, 0.8)]
    )
    assert [(unit.text, unit.end) for unit in said] == [(" Tu", 0.2), (" viens ? -", 0.6 + 0.4 / 4), (" Oui", 1)]
    agreement = LocalAgreement()
    for text_of_pass in ("Tu viens ?", "tu viens - ?", "Tu viens ?"):
        hear(agreement, text_of_pass)
    assert text(agreement.committed) == " Tu viens ?"
    assert text(agreement.conclude(units("Tu viens oui"))) == " Tu viens ? oui"


def test_the_final_adds_to_what_is_committed() -> None:
    """Also when it hears those words differently, fewer of them, more, or none."""
    for final, expected in (
        ("one two three four five", " one two three four five"),
        ("won two tree four five", " one two three four five"),
        ("one three four", " one two three four"),
        ("one or two three", " one two three"),
        ("two", " one two three"),
        ("", " one two three"),
    ):
        agreement = LocalAgreement()
        for _ in range(3):
            hear(agreement, "one two three")
        assert text(agreement.conclude(units(final))) == expected


def test_a_number_that_is_written_differently_ends_where_it_was_spoken() -> None:
    """Without times it is said twice, which is better than a word lost; a meaning is never reversed."""
    for committed, final, plain, known in (
        ("twenty five", "25 people came", " twenty five 25 people came", " twenty five people came"),
        ("we cannot", "we can not go", " we cannot go", " we cannot go"),
        ("we can", "we can't go", " we can can't go", " we can can't go"),
    ):
        for has_times, expected in ((False, plain), (True, known)):
            agreement = LocalAgreement()
            for n in range(3):
                agreement.hear(timed(committed) if has_times else units(committed), 2.0 + n)
            pace = 1.0 if "25" in final else 0.5
            words = [Word(f" {word}", n * pace, (n + 1) * pace, 0.9) for n, word in enumerate(final.split())]
            assert text(agreement.conclude(units(final, words if has_times else ()))) == expected


def test_nothing_is_committed_where_a_cut_may_come() -> None:
    """Words near the longest utterance's end stay open, with times and without."""
    agreement = LocalAgreement()
    for heard in (MAX_COMMIT_END_S, MAX_COMMIT_END_S + 1):
        agreement.hear(timed("a"), heard)
    late = [
        Unit(" b", MAX_COMMIT_END_S - 1, MAX_COMMIT_END_S + 0.1, 1.0),
        Unit(" c", MAX_COMMIT_END_S, MAX_COMMIT_END_S + 1, 1.0),
    ]
    agreement.hear([*timed("a"), *late], MAX_COMMIT_END_S + 2)
    assert text(agreement.committed) == " a"
    untimed = LocalAgreement()
    for n in range(3):
        hear(untimed, "a", MAX_COMMIT_END_S + 1 + n)
    assert untimed.committed == []


def test_a_trimmed_window_begins_with_two_committed_words() -> None:
    """Whose times are known, and which last half a second; what the window gives is added after them."""
    agreement = LocalAgreement()
    assert agreement.trim == (0, 0.0)
    for heard in (1.5, 1.9, 2.3):
        agreement.hear(timed("one two three"), heard)
    assert agreement.trim == (1, 0.5 - TRIM_MARGIN_S)
    for heard in (2.7, 3.1):
        agreement.hear(units("two three four"), heard, base=1)
    assert text(agreement.hear(units("two tree four five"), 3.5, base=1)) == " one two three four five"
    assert text(agreement.committed) == " one two three four"  # agreed, so without a time of its own
    assert (agreement.trim, agreement.until) == ((2, 1.0 - TRIM_MARGIN_S), 2.7)
    short = LocalAgreement()
    for heard in (1.0, 1.5, 2.0):
        short.hear([Unit(f" {n}", n / 5, n / 5 + 0.2) for n in range(5)], heard)
    assert short.trim == (2, 0.4 - TRIM_MARGIN_S)


def test_a_trimmed_window_that_misses_its_first_word_commits_nothing() -> None:
    """Nor does it count: what it hears may come after a word that it missed, too. It is shown."""
    agreement = LocalAgreement()
    for heard in (2.0, 2.5, 3.0):
        agreement.hear(timed("we will go to the"), heard)
    for heard in (3.5, 4.0, 4.5):
        shown = agreement.hear(units("market on monday"), heard, base=3)
        assert text(shown).startswith(" we will go to the")
        assert text(agreement.hear([], heard, base=3)) == " we will go to the"
    assert text(agreement.committed) == " we will go to the"
    assert (
        text(agreement.conclude(units("we will go to the market on monday"))) == " we will go to the market on monday"
    )


def test_scripts_without_spaces_are_cut_into_signs() -> None:
    """And put together again as they were."""
    for said in ("今日は meeting です", "hello,  world", "สวัสดี ok"):
        assert text(units(said)).strip() == said
    assert [unit.text for unit in units("今日 ok")] == [" 今", "日", " ok"]


def test_a_window_that_begins_after_the_committed_signs_puts_no_space_there() -> None:
    """Its first sign goes on where they end; a word has its space."""
    for committed, more, expected in (("今日", "は", " 今日は"), ("สวัส", "ดี", " สวัสดี"), ("today", "it", " today it")):
        agreement = LocalAgreement()
        for _ in range(3):
            hear(agreement, committed)
        base = len(agreement.committed)
        assert text(agreement.hear(units(more), 2.0, base)) == expected


def test_units_get_the_times_of_their_letters() -> None:
    """Whatever the model takes for a word, whose signs share its time; none if there are not enough of them."""
    words = [Word(" to", 0.0, 0.2, 0.9), Word("day", 0.2, 0.5, 0.5), Word(" ok", 0.6, 0.9, 0.7)]
    assert units("today ok", words, offset=10) == [Unit(" today", 10, 10.5, 0.5), Unit(" ok", 10.6, 10.9, 0.7)]
    assert units("today okay", words)[1] == Unit(" okay")
    assert units("今日", [Word("今日", 0.5, 0.9, 0.8)]) == [Unit(" 今", 0.5, 0.7, 0.8), Unit("日", 0.7, 0.9, 0.8)]


SAID = st.lists(st.sampled_from(["a", "b", "c", "日", "d,"]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(SAID, st.booleans()), max_size=10), SAID)
def test_committed_text_never_changes(passes: list[tuple[str, bool]], final: str) -> None:
    """Each text begins with all that was committed before, the final too."""
    agreement, committed = LocalAgreement(), ""
    for n, (said, with_times) in enumerate(passes, 1):
        shown = text(agreement.hear(timed(said) if with_times else units(said), n / 2))
        assert shown.startswith(committed)
        committed = text(agreement.committed)
        assert shown.startswith(committed)
    assert text(agreement.conclude(units(final))).startswith(committed)
