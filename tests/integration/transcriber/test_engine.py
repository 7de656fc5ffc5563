"""The engine on real CTranslate2 models: the demo model, and a multilingual one whose weights are random."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel
from structlog.typing import EventDict

from tests.support.audio.recordings import clips
from tests.support.random_whisper import random_whisper
from transcriber.config import Settings
from transcriber.core.agreement import LocalAgreement, units
from transcriber.core.languages import MIN_SPEECH_S, SURE_LANGUAGE_SHARE
from transcriber.core.windows import Before, Samples, Window
from transcriber.engine.base import ModelError
from transcriber.engine.batches import MAX_OUTPUT_TOKENS_PER_S, OUTPUT_TOKEN_ALLOWANCE
from transcriber.engine.faster_whisper import FasterWhisper, load
from transcriber.engine.models import DEMO_FOLDER, resolve
from transcriber.engine.prompting import MAX_PROMPT_TOKENS
from transcriber.engine.window_sizes import FULL_WINDOWS, WindowSizes

pytestmark = [pytest.mark.model, pytest.mark.slow]
SURE_WORDS = 8
"""Of a model with random weights; later ones follow from near draws."""


@pytest.fixture(scope="module")
def demo() -> FasterWhisper:
    """Understands the bundled clips."""
    return FasterWhisper(DEMO_FOLDER, "demo", device="cpu")


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FasterWhisper]:
    """Knows 99 languages and says nonsense in each, at times that are no reason to cut it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transcriber.engine.phrases.END_CLEARANCE_S", -60.0)
        yield FasterWhisper(random_whisper(tmp_path_factory.mktemp("random")), "random", device="cpu")


def test_the_time_to_fetch_a_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of what a start takes."""

    def fetch(name: str) -> Path:
        time.sleep(0.2)
        return resolve(name)

    monkeypatch.setattr("transcriber.engine.faster_whisper.resolve", fetch)
    assert load(Settings(model="demo", device="cpu")).fetching_s >= 0.2


class Counting:
    """A CTranslate2 model that counts calls, (method, windows in it), and notes how long the encoder's inputs are."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.calls: Counter[tuple[str, int]] = Counter()
        self.frames: list[int] = []

    def __getattr__(self, name: str) -> Any:
        def call(inputs: Any, *given: Any, **named: Any) -> Any:
            self.calls[name, inputs.shape[0]] += 1
            self.frames += [inputs.shape[2]] if name == "encode" else []
            return getattr(self._model, name)(inputs, *given, **named)

        return call


def noise(seconds: float, seed: int = 0) -> Samples:
    """Something to say nonsense about."""
    return np.random.default_rng(seed).normal(0, 3000, int(seconds * 16_000)).astype(np.int16)


def tone(seconds: float, hertz: float) -> Samples:
    """Something of which that model says the same only when it hears the same pitch, whatever rounds its sums."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    return (8000 * np.sin(2 * np.pi * hertz * time) + noise(seconds) / 10).astype(np.int16)


def mixed() -> list[Window]:
    """Partials and finals, with and without word times, short and long prompts, all sizes."""
    prompts = (None, "hello everyone", "anna ben <|startoftranscript|> carlos <|endoftext|>", "anna " * 200)
    spoken = [samples for _, samples in clips()[:12]]
    windows = [
        Window(samples, careful=number % 2 == 0, words=number % 3 == 0, prompt=prompts[number % 4 if number > 7 else 0])
        for number, samples in enumerate(spoken)
    ]
    return [*windows, Window(np.concatenate(spoken[:3])), Window(spoken[0], full=True), Window(spoken[1][:8000])]


def test_windows_decoded_together_say_what_each_says_alone(demo: FasterWhisper) -> None:
    """Whatever they are mixed with: text, score, word times."""
    windows = mixed()
    together = demo.transcribe(windows)
    alone = [demo.transcribe([window])[0] for window in windows]
    assert [result.text for result in together] == [result.text for result in alone]
    assert [result.words for result in together] == [result.words for result in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=0.01)
        assert one.no_speech == pytest.approx(other.no_speech, abs=0.01)
    assert sum(result.text == text for result, (text, _) in zip(together[:8], clips(), strict=False)) == 8


def test_what_was_said_before_is_heard_and_not_said_again(multilingual: FasterWhisper) -> None:
    """The result is the window's alone, with times in it; mixed with others it is the same, as far as this model's
    nonsense does not hang on how a processor rounds."""
    sounds = [tone(seconds, hertz) for seconds, hertz in ((0.8, 300), (1.2, 500), (0.6, 800))]
    windows = [
        Window(sound, language="en", careful=True, words=True, before=Before(tone(2, 200), text))
        for sound, text in zip(sounds, ("so it is", "and so it was", "<|endoftext|>"), strict=True)
    ]
    others = [Window(sound, language="en", careful=True, words=True) for sound in sounds]
    alone = [multilingual.transcribe([window])[0] for window in (*windows, *others)]
    together = multilingual.transcribe([*windows, *others])
    for one, other, window in zip(together, alone, (*windows, *others), strict=True):
        assert one.text.split()[:SURE_WORDS] == other.text.split()[:SURE_WORDS]
        assert [word.text for word in one.words[:SURE_WORDS]] == [word.text for word in other.words[:SURE_WORDS]]
        seconds = len(window.samples) / 16_000
        assert all(0 <= word.start <= word.end <= seconds + 0.1 for word in one.words)
        assert "".join(word.text for word in one.words).strip() == one.text
        assert not one.text.startswith("so it is")


def test_what_was_said_before_is_left_out_where_it_would_not_help(
    demo: FasterWhisper, multilingual: FasterWhisper
) -> None:
    """The demo model knows single sentences; and nobody waits for a text that is spelled in very many tokens."""
    samples = clips()[0][1]
    before = Before(clips()[1][1], clips()[1][0])
    assert demo.transcribe([Window(samples, before=before)]) == demo.transcribe([Window(samples)])
    long = Before(tone(2, 200), "word " * (MAX_PROMPT_TOKENS + 1))
    window = Window(tone(1, 400), language="en")
    assert multilingual.transcribe([replace(window, before=long)]) == multilingual.transcribe([window])


@pytest.mark.parametrize(("device", "encodings"), [("cpu", {("encode", 1): 8}), ("cuda", {("encode", 8): 1})])
def test_one_group_is_decoded_and_aligned_once(device: str, encodings: dict[tuple[str, int], int]) -> None:
    """Encoded one by one on a CPU, stacked on a GPU (here: a CPU that is taken for one); word times encode nothing."""
    engine = FasterWhisper(DEMO_FOLDER, "demo", device="cpu")
    engine.device = device
    counting = engine._whisper.model = Counting(engine._whisper.model)
    windows = [Window(samples, words=number < 7) for number, (_, samples) in enumerate(clips()[:8])]
    results = engine.transcribe(windows)
    assert [result.text for result in results] == [text for text, _ in clips()[:8]]
    assert counting.calls == {**encodings, ("generate", 8): 1, ("align", 7): 1}
    assert [bool(result.words) for result in results] == [window.words for window in windows]


def test_a_model_on_a_gpu_has_full_windows_until_it_is_measured_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a CPU that is taken for one: what was measured on CPUs does not count, padding and packing stay."""
    on_cpu = WhisperModel

    def on_gpu(folder: str, *, device: str, compute_type: str, **options: Any) -> WhisperModel:
        assert (device, compute_type) == ("cuda", "float16")
        return on_cpu(folder, device="cpu", compute_type="int8", **options)

    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr("faster_whisper.WhisperModel", on_gpu)
    engine = FasterWhisper(DEMO_FOLDER, "demo")
    assert (engine.device, engine.sizes) == ("cuda", WindowSizes(padding=0.0, packed=800))
    [(text, samples), *_] = clips()
    assert [result.text for result in engine.transcribe([Window(samples, careful=True)])] == [text]


def test_a_final_has_the_window_of_its_language(multilingual: FasterWhisper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full one where nobody has measured it, also if that turns out only then: what was found in the short one
    stays. Not for a partial, and not while others wait."""
    final = Window(tone(2, 400), careful=True)
    multilingual.use(WindowSizes(600, 800))
    [heard] = multilingual.transcribe([final])
    found = str(heard.language)
    other = "en" if found != "en" else "de"
    counting = Counting(multilingual._whisper.model)
    monkeypatch.setattr(multilingual._whisper, "model", counting)

    def frames(*windows: Window, measured: str = other) -> list[int]:
        multilingual.use(WindowSizes(600, {measured: 800}))
        counting.frames.clear()
        results = multilingual.transcribe(windows)
        for window, result in zip(windows, results, strict=True):
            assert not window.careful or (result.language == (window.language or found) and result.text)
        return counting.frames[:]

    try:
        assert [frames(replace(final, language=code)) for code in (found, other)] == [[3000], [800]]
        assert frames(final) == [800, 3000]
        assert frames(final, measured=found) == [800]
        assert frames(replace(final, prior=found)) == [3000]
        assert frames(replace(final, careful=False)) == [600]
        assert frames(replace(final, hurried=True)) == [800]
        assert frames(replace(final, language=other), final) == [800, 800, 3000, 800]  # each once more, apart
    finally:
        multilingual.use(FULL_WINDOWS)


@pytest.mark.parametrize(("seconds", "batch"), [(0.0, 1), (1000.0, 4)], ids=["slow", "fast"])
def test_a_slow_model_decodes_fewer_at_once(monkeypatch: pytest.MonkeyPatch, seconds: float, batch: int) -> None:
    """Measured when the model is warmed up: an urgent window must not wait for long."""
    monkeypatch.setattr("transcriber.engine.faster_whisper.MAX_BATCH_ENCODE_S", seconds)
    engine = FasterWhisper(DEMO_FOLDER, "demo", device="cpu")
    engine.warm_up()
    assert engine.batch == batch


@pytest.mark.parametrize("aligns", [True, False])
def test_a_model_that_cannot_tell_when_words_are_said_does_without(
    tmp_path: Path, logged: list[EventDict], aligns: bool
) -> None:
    """That is found out when it is warmed up and said once; two passes can agree on its words all the same."""
    engine = FasterWhisper(random_whisper(tmp_path, aligns=aligns), "random", device="cpu", sizes=WindowSizes(600, 600))
    engine.warm_up()
    [result] = engine.transcribe([Window(noise(2), language="en", words=True)])
    assert (bool(result.text), bool(result.words)) == (True, aligns)
    assert [line["event"] for line in logged] == ([] if aligns else ["model.no_word_times"])
    agreement = LocalAgreement()
    for heard in (1.0, 2.0, 3.0):
        agreement.hear(units(result.text, result.words), heard)
    assert agreement.committed


def test_threads_share_the_model(demo: FasterWhisper) -> None:
    """Nothing of one call is seen in another."""
    spoken = clips()[:12]
    windows = [[Window(samples, words=True, careful=number % 2 == 0)] for number, (_, samples) in enumerate(spoken)]
    with ThreadPoolExecutor(3) as pool:
        heard = [result.text for [result] in pool.map(demo.transcribe, windows)]
    assert heard == [text for text, _ in spoken]


def test_languages_and_tasks_mix_in_one_batch(multilingual: FasterWhisper) -> None:
    """Each window gets its own, and the text that it gets alone."""
    windows = [
        Window(tone(2, hertz), language=language, task=task, words=True)
        for hertz, language, task in [
            (200, "de", "transcribe"), (566, "fr", "translate"), (1039, "ja", "transcribe"),
            (1600, "de", "transcribe"), (2236, None, "translate"),
        ]
    ]  # fmt: skip
    together = multilingual.transcribe(windows)
    alone = [multilingual.transcribe([window])[0] for window in windows]
    assert together == [replace(one, avg_logprob=other.avg_logprob, no_speech=other.no_speech, words=other.words,
                                language_probability=other.language_probability)
                        for one, other in zip(alone, together, strict=True)]  # fmt: skip
    assert [result.language for result in together[:4]] == ["de", "fr", "ja", "de"]
    assert [result.language_probability for result in together[:4]] == [1.0] * 4
    assert len({result.text for result in together}) == 5
    assert all(result.words for result in together)


def test_a_language_is_detected_among_the_allowed_ones(multilingual: FasterWhisper) -> None:
    """Also in a batch with windows that need no detection; shares are of what is allowed."""
    assert len(multilingual.languages) == 100
    samples = noise(3)
    free, two, one, fixed = multilingual.transcribe(
        [
            Window(samples),
            Window(samples, allowed=frozenset({"es", "pt"})),
            Window(samples, allowed=frozenset({"cy"})),
            Window(samples, language="nl", allowed=frozenset({"cy"})),
        ]
    )
    assert free.language in multilingual.languages - {"es", "pt"}
    assert two.language in {"es", "pt"}
    assert two.language_probability > max(0.5, free.language_probability)
    assert (one.language, one.language_probability) == ("cy", 1.0)
    assert (fixed.language, fixed.language_probability) == ("nl", 1.0)


def test_the_streams_language_is_kept_against_weak_evidence(multilingual: FasterWhisper) -> None:
    """A model that knows nothing is never sure: what was spoken so far stays; a sure case wins on any speech."""
    samples = noise(MIN_SPEECH_S + 0.5)
    [likeliest] = multilingual.transcribe([Window(samples)])
    [kept] = multilingual.transcribe([Window(samples, prior="cy")])
    assert likeliest.language
    assert likeliest.language != "cy"
    assert kept.language == "cy"
    assert kept.language_probability < likeliest.language_probability
    versus = frozenset({"cy", likeliest.language})
    long, short = multilingual.transcribe(
        [Window(samples, prior="cy", allowed=versus), Window(samples[:16_000], prior="cy", allowed=versus)]
    )
    assert (long.language, short.language) == (likeliest.language, likeliest.language)
    assert short.language_probability > SURE_LANGUAGE_SHARE


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 480, 640, 1600, 480_000])
def test_no_length_harms_the_engine(demo: FasterWhisper, samples: int) -> None:
    """Nothing is heard in less than two frames, nor in silence of any length; noise of that length does no harm."""
    silent, noisy = demo.transcribe(
        [
            Window(np.zeros(samples, np.int16), words=True, careful=True),
            Window(noise(30)[:samples], words=True, prompt="hello"),
        ]
    )
    assert (silent.text, silent.words) == ("", ())
    assert samples >= 320 or noisy.text == ""
    assert all(0 <= word.start <= word.end <= samples / 16_000 + 0.1 for word in noisy.words)


def test_words_of_next_to_no_audio_are_aligned(multilingual: FasterWhisper) -> None:
    """A model that makes many words of two frames has times for them all."""
    [result] = multilingual.transcribe([Window(noise(0.02), language="en", words=True)])
    assert len(result.words) > 3
    assert all(word.start <= word.end <= 0.1 for word in result.words)


def test_what_the_model_cannot_take_is_an_error(demo: FasterWhisper, multilingual: FasterWhisper) -> None:
    """Too long a window, and a language that it does not know; the engine goes on."""
    with pytest.raises(ValueError, match="30 s at most"):
        demo.transcribe([Window(np.zeros(480_001, np.int16))])
    with pytest.raises(ValueError, match="language"):
        multilingual.transcribe([Window(noise(1), language="xx")])
    assert [result.text for result in demo.transcribe([Window(clips()[0][1])])] == [clips()[0][0]]


def test_a_prompt_does_not_become_text(demo: FasterWhisper) -> None:
    """On silence least of all."""
    [result] = demo.transcribe([Window(np.zeros(16_000, np.int16), prompt="hello everyone", careful=True)])
    assert result.text == ""


def test_of_a_long_prompt_the_end_is_kept(demo: FasterWhisper) -> None:
    """As Whisper does: what was said last is the nearest to what comes."""
    long = demo._prompting.prompt(Window(noise(1), prompt="anna " * 500 + "ben and carlos"))
    short = demo._prompting.prompt(Window(noise(1), prompt="ben and carlos"))
    assert len(long) == MAX_PROMPT_TOKENS + 1
    assert (long[0], long[1 - len(short) :]) == (short[0], short[1:])


def test_a_text_is_cut_where_the_model_puts_time_tokens(demo: FasterWhisper) -> None:
    """All of it, with times in the audio."""
    for text, samples in clips()[:3]:
        [result] = demo.transcribe([Window(samples, careful=True)])
        assert "".join(phrase.text for phrase in result.phrases).strip() == text
        end = result.phrases[-1].end
        assert end is not None
        assert 0.5 < end <= len(samples) / 16_000 + 0.1


def test_what_is_drawn_at_a_temperature_is_decoded_apart(demo: FasterWhisper) -> None:
    """And as good as the likeliest text, if the model is sure."""
    text, samples = clips()[0]
    windows = [Window(samples, careful=True, temperature=temperature) for temperature in (0.4, 0.0, 0.4)]
    assert [result.text for result in demo.transcribe(windows)] == [text] * 3


def test_words_have_times(demo: FasterWhisper) -> None:
    """In order, inside the audio; a short window and the full one say the same."""
    text, samples = clips()[0]
    short, full = demo.transcribe([Window(samples, careful=True, words=True), Window(samples, careful=True, full=True)])
    assert [word.text.strip() for word in short.words] == text.split()
    times = [time for word in short.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= len(samples) / 16_000 + 0.1
    assert all(0.5 < word.probability <= 1 for word in short.words)
    assert (short.text, full.text) == (text, text)
    assert demo.languages == {"en"}


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    """What was looked for, where, and what to do."""
    assert resolve(str(resolve("demo"))) == resolve("demo")
    with pytest.raises(ModelError, match=r"model\.bin"):
        resolve(str(tmp_path))
    with pytest.raises(ModelError, match="no folder"):
        resolve(str(tmp_path / "missing"))
    with pytest.raises(ModelError, match="Unknown model"):
        resolve("enormous")
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"holds no config\.json, no tokenizer\.json, no vocabulary\.\*"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("tokenizer.json", None, "holds no tokenizer.json"),
        ("tokenizer.json", b"{}", "tokenizer.json is no tokenizer.json of a Whisper model"),
        ("tokenizer.json", b'{"model": 1}', "tokenizer.json is no tokenizer.json of a Whisper model"),
        ("config.json", None, "holds no config.json"),
        ("config.json", b"[", "config.json cannot be read"),
        ("model.bin", 1_000_000, "model.bin is damaged or not whole"),
        ("model.bin", 20, "model.bin is damaged or not whole"),
    ],
)
def test_a_damaged_folder_is_told_by_its_file(
    tmp_path: Path, logged: list[EventDict], file: str, content: bytes | int | None, problem: str
) -> None:
    """Before anybody is asked for another model's tokenizer, or advised to measure this one."""
    for path in DEMO_FOLDER.iterdir():
        if path.name != "window_sizes.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    if isinstance(content, int):
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:content])
    elif content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError) as error:
        load(Settings(model=str(tmp_path), device="cpu"))
    assert problem in str(error.value)
    assert not logged


def test_a_compute_type_that_cannot_be_is_named_with_those_that_can() -> None:
    """CTranslate2's own words name no option."""
    with pytest.raises(ModelError, match=r"^--compute-type int7: this cpu can float32, int8, .*Invalid compute type"):
        FasterWhisper(DEMO_FOLDER, "demo", device="cpu", compute_type="int7")


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With those that are."""
    for count, found in ((0, "CTranslate2 finds none"), (2, "they are numbered from 0 to 1")):
        monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda count=count: count)
        with pytest.raises(ModelError, match=f"no GPU 2 here .{found}.: see --device and"):
            FasterWhisper(DEMO_FOLDER, "demo", device="cuda", device_index=2)


def test_a_model_that_cannot_be_fetched_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline and not in the cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="--model FOLDER"):
        resolve("tiny")


def test_languages_that_are_spelled_get_more_tokens(multilingual: FasterWhisper) -> None:
    """Two seconds of Georgian have a hundred; what has so many in German is a loop."""
    spoken = [Window(noise(2.0), language=language) for language in ("ka", "de")]
    georgian, german = (result.tokens for result in multilingual.transcribe(spoken))
    assert german <= OUTPUT_TOKEN_ALLOWANCE + 2.0 * MAX_OUTPUT_TOKENS_PER_S < 100 < georgian
