"""What is not speech is told from what is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.filters import MAX_REPEATED_PIECES, Verdict, judge, without_repeats

NAMES = "Ana Silva, Kubernetes, Earshot, quarterly budget"
ENGLISH = " All human beings are born free, and are equal in dignity and rights. They have reason and a conscience."
HINDI = (
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। "
    "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।"
)
BURMESE = "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ တူညီလွတ်လပ်သော အခွင့်အရေးများဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။"
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
HUM = {"speech_seconds": 0.3, "avg_logprob": -0.9, "no_speech": 0.5}


def verdict(text: str, **other: float | str | None) -> Verdict:
    """Judges a text of ordinary speed and likelihood."""
    usual = {"seconds": 3.0, "tokens": 8, "avg_logprob": -0.3, "no_speech": 0.1, "prompt": None}
    return judge(text, **{**usual, **other})  # type: ignore[arg-type]


def test_what_is_said_twice_takes_twice_the_time() -> None:
    """The same text is a loop over 3 s of speech and somebody who says a thing twice over 5 s; unknown: kept."""
    twice = " This is not a normal situation. This is not a normal situation."
    assert verdict(twice, speech_seconds=3.0) is Verdict.LOOP
    assert verdict(twice, speech_seconds=5.0) is verdict(twice) is Verdict.KEEP
    assert verdict(" no no, no no", speech_seconds=0.5) is Verdict.KEEP


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (" This is not a normal situation. This is not a normal situation. And yes, we know.", 3.0),
        ("今天天气真的很好，今天天气真的很好，我们一起去公园走走", 2.5),
        ("今日はとてもいい天気です。今日はとてもいい天気です。公園に行きましょう", 3.5),
    ],
)
def test_a_repeat_is_one_with_more_behind_it_too(text: str, seconds: float) -> None:
    """In every script; with the time that it takes, it is what was said."""
    assert verdict(text, speech_seconds=seconds) is Verdict.LOOP
    assert verdict(text, speech_seconds=2 * seconds) is Verdict.KEEP


@pytest.mark.parametrize("text", ["そうですね、そうですね、今日は行きません", "对不起，对不起，我今天来不了了"])
def test_a_short_phrase_is_said_twice_before_more(text: str) -> None:
    """However fast."""
    assert verdict(text, speech_seconds=1.0) is Verdict.KEEP


@pytest.mark.parametrize(
    ("text", "once"),
    [
        (" and yes, and yes, and yes, I do", "and yes, I do"),
        (" no no no no no no no no", "no"),
        (" one two three. One two three", "one two three."),
        (" 今日は今日は今日は", "今日は"),
        ("今日は今日は今日は今日はたたみの上で", "今日はたたみの上で"),
        ("谢谢你们谢谢你们谢谢你们大家", "谢谢你们大家"),
        ("谢" * 16, "谢"),
        (" nothing twice", "nothing twice"),
        ("", ""),
    ],
)
def test_a_loop_is_said_once(text: str, once: str) -> None:
    """Whatever its period."""
    assert without_repeats(text) == once


def test_what_is_looked_for_in_a_loop_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word is read once, however long the text: a server may send thousands. Longer phrases are not sought."""
    read: list[str] = []

    def letters(piece: str) -> str:
        read.append(piece)
        return piece.strip()

    monkeypatch.setattr("transcriber.core.filters.letters", letters)
    for n, is_cut in ((MAX_REPEATED_PIECES, True), (MAX_REPEATED_PIECES + 1, False)):
        phrase = " ".join(f"word{k}" for k in range(n))
        assert without_repeats(f"{phrase} {phrase}") == (phrase if is_cut else f"{phrase} {phrase}")
        assert len(read) == 2 * n
        read.clear()


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        (" Yes.", {}, Verdict.KEEP),
        (" ... ", {}, Verdict.EMPTY),
        (" one two three", {"no_speech": 0.9}, Verdict.KEEP),
        (" one two three", {"avg_logprob": -1.2}, Verdict.KEEP),
        (" Thank you.", {"no_speech": 0.9, "avg_logprob": -1.2}, Verdict.NO_SPEECH),
        (" or or", HUM, Verdict.NO_SPEECH),
        (" no", {**HUM, "avg_logprob": -0.7}, Verdict.KEEP),
        (" no", {**HUM, "speech_seconds": 0.4}, Verdict.KEEP),
        (" or", {**HUM, "no_speech": 0.14, "avg_logprob": -1.05}, Verdict.NO_SPEECH),
        (" or", {**HUM, "no_speech": 0.02, "avg_logprob": -1.4}, Verdict.NO_SPEECH),
        (" six", {**HUM, "no_speech": 0.02, "avg_logprob": -1.2}, Verdict.KEEP),
        (" six", {**HUM, "no_speech": 0.3}, Verdict.KEEP),
        (ENGLISH, {"tokens": 41}, Verdict.TOO_FAST),
        (ENGLISH, {"tokens": 40}, Verdict.KEEP),
        (HINDI, {"tokens": 195, "seconds": 10.0}, Verdict.KEEP),
        (HINDI, {"tokens": 195, "seconds": 5.0}, Verdict.TOO_FAST),
        (BURMESE, {"tokens": 357, "seconds": 5.4}, Verdict.KEEP),
        (CHINESE, {"tokens": 51, "seconds": 3.0}, Verdict.TOO_FAST),
        (" one two three", {"avg_logprob": -1.7}, Verdict.UNLIKELY),
    ],
)
def test_text_needs_evidence(text: str, other: dict[str, float | str], expected: Verdict) -> None:
    """Each rule, and speech that comes close to it."""
    assert verdict(text, **other) is expected


@pytest.mark.parametrize(
    "text",
    [
        " you" * 8,
        " well" + " see you then" * 3,
        " so" + " or all" * 6 + " then we went",
        " abcdefgh" + "ha" * 60,
        "ご視聴ありがとうございました" * 3,
        "谢" * 16,
    ],
)
def test_loops(text: str) -> None:
    """One word, a phrase at the end, one that is most of the text, syllables; also in scripts without spaces."""
    assert verdict(text) is Verdict.LOOP


@pytest.mark.parametrize(
    "text",
    [
        " no no no no",
        " thank you thank you thank you",
        " bye bye bye bye bye see you on friday",
        " again and again and again and again and that is how we go on with what was planned and said in may and june",
        "对不起对不起对不起",
        " A B C D A B C D A B C D",
    ],
)
def test_people_repeat_themselves_too(text: str) -> None:
    """Not every repetition is a loop."""
    assert verdict(text) is Verdict.KEEP


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        (" Ana Silva, Kubernetes, Earshot.", {}, Verdict.PROMPT),
        (" kubernetes earshot quarterly budget thanks", {}, Verdict.PROMPT),
        (" Kubernetes? Earshot.", {}, Verdict.KEEP),
        (" Kubernetes? Earshot.", {"avg_logprob": -1.1}, Verdict.PROMPT),
        (" Earshot", {"speech_seconds": 0.1}, Verdict.PROMPT),
        (" Yes", {"speech_seconds": 0.1}, Verdict.KEEP),
        (" Earshot", {"speech_seconds": 0.5}, Verdict.KEEP),
        (" the quarterly budget is what Ana Silva asked about", {}, Verdict.KEEP),
        (" Budget, Earshot, Ana, Kubernetes", {}, Verdict.KEEP),
    ],
)
def test_echoes_of_the_prompt(text: str, other: dict[str, float], expected: Verdict) -> None:
    """Most of the text in the prompt's order; a few words of it only where little speaks for them."""
    assert verdict(text, prompt=NAMES, **other) is expected
    assert verdict(text, **other) is Verdict.KEEP


def test_anomalies_are_worth_a_second_try() -> None:
    """A decoder that went astray may do better with the full window and without the prompt; silence stays silence."""
    assert {v for v in Verdict if v.is_anomaly} == {Verdict.PROMPT, Verdict.LOOP, Verdict.TOO_FAST, Verdict.UNLIKELY}


@given(st.text(), st.text())
def test_any_text_gets_a_verdict(text: str, prompt: str) -> None:
    """Also one that cannot be encoded."""
    assert verdict(text, prompt=prompt) in Verdict


@given(st.lists(st.sampled_from(["yes", "we", "can", "go", "家"]), min_size=1, max_size=8), st.integers(4, 12))
def test_what_is_said_often_enough_is_a_loop(phrase: list[str], times: int) -> None:
    """Any phrase of up to eight words, four times or more and sixteen words at least, with nothing else."""
    words = phrase * max(times, -(-16 // len(phrase)), 4)
    assert verdict(" ".join(words)) is Verdict.LOOP
