"""Window sizes: what was measured is kept and found, by who knows best first; a wrong file says how to mend it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.languages import LANGUAGE_NAMES
from transcriber.engine import window_sizes
from transcriber.engine.base import ModelError
from transcriber.engine.models import DEMO_FOLDER
from transcriber.engine.window_sizes import (
    CPU,
    CUDA,
    FULL_WINDOWS,
    WINDOW_SIZES_FILE,
    WindowSizes,
    find,
    fingerprint,
    parse,
    place,
    prepare,
    read,
    sizes_for,
    write,
)

frames = st.integers(100, 3000)
keys = st.sampled_from(["partial_frames", "careful_frames", "margin_frames", "packed_frames", "padding"]) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(keys, inner)
        | st.fixed_dictionaries(
            {
                "partial_frames": frames,
                "careful_frames": inner | st.dictionaries(st.text(), inner),
                "margin_frames": frames,
            }
        )
    ),
    max_leaves=10,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "earshot" / "window_sizes"


@given(
    st.builds(
        WindowSizes,
        frames,
        frames | st.dictionaries(st.sampled_from(list(LANGUAGE_NAMES)), frames),
        st.integers(0, 3000),
        st.none() | st.floats(-9, 9),
        frames,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, sizes: WindowSizes) -> None:
    """Whatever was measured beside."""
    path = tmp_path_factory.getbasetemp() / "sizes.json"
    write(path, sizes, {"model": "base"})
    assert read(path) == sizes


@given(json_values)
def test_what_makes_no_sense_is_a_value_error(content: object) -> None:
    """Any JSON is read or refused."""
    with suppress(ValueError):
        assert isinstance(parse(content), WindowSizes)


def test_the_folder_knows_best_then_the_cache_then_the_package(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody: the caller decodes with full windows."""
    model, shipped = tmp_path / "model", tmp_path / "shipped"
    for folder in (model, shipped, cache):
        folder.mkdir(parents=True)
    (model / "model.bin").write_bytes(b"weights")
    monkeypatch.setattr(window_sizes, "SHIPPED_FOLDER", shipped)
    assert find(model, CPU) is None
    name = f"{fingerprint(model)}.json"
    for careful, path in ((1500, shipped / name), (1250, cache / name), (1000, model / WINDOW_SIZES_FILE)):
        write(path, WindowSizes(800, careful, 150), {})
        assert find(model, CPU) == WindowSizes(800, careful, 150)


def test_what_is_measured_is_kept_in_the_models_folder(tmp_path: Path) -> None:
    """Where it replaces what was measured before, and leaves nothing half written."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    for careful in (1500, 1000):
        write(prepare(place(tmp_path, CPU)), WindowSizes(800, careful), {"words": 400})
        assert find(tmp_path, CPU) == WindowSizes(800, careful)
    assert json.loads((tmp_path / WINDOW_SIZES_FILE).read_text())["measured"] == {"words": 400}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", WINDOW_SIZES_FILE]


def test_what_is_measured_is_kept_in_the_cache_where_the_folder_is_not_writable(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the folder has a file, which would be found first."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    path = prepare(place(tmp_path, CPU))
    assert path == cache / f"{fingerprint(tmp_path)}.json"
    write(path, WindowSizes(800, 1000), {})
    assert find(tmp_path, CPU) == WindowSizes(800, 1000)
    (tmp_path / WINDOW_SIZES_FILE).write_text("{}")
    with pytest.raises(ModelError, match=r"window_sizes\.json cannot be written: Permission denied\. .*--output"):
        prepare(place(tmp_path, CPU))


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    """Before anything is measured."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"sizes\.json cannot be written: Not a directory"):
        prepare(tmp_path / "file" / "in" / "sizes.json")


def test_a_disk_that_is_full_in_the_end_costs_no_measurement(tmp_path: Path) -> None:
    """The result is in the error."""
    with pytest.raises(ModelError, match=r"could not be written.*\"careful_frames\": 1000"):
        write(tmp_path / "gone" / "sizes.json", WindowSizes(800, 1000), {})


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    """Also where only the end differs, behind what is read at the beginning."""
    prints = set()
    for end in (b"", b"a", b"b"):
        (tmp_path / "model.bin").write_bytes(bytes(3 << 20) + end)
        prints.add(fingerprint(tmp_path))
    assert len(prints) == 3


def test_a_wrong_file_says_what_to_do(tmp_path: Path) -> None:
    """Its path, what is wrong with it, and the remedy."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    too_loud = '{"partial_frames": 800, "careful_frames": 800, "margin_frames": 0, "padding": 99}'
    for wrong in ("[]", "{", "{}", '{"partial_frames": 800.5}', too_loud):
        (tmp_path / WINDOW_SIZES_FILE).write_text(wrong)
        with pytest.raises(ModelError, match=r"window_sizes\.json is wrong \(.*delete it"):
            find(tmp_path, CPU)


def test_a_size_for_finals_holds_for_its_language_or_for_all() -> None:
    """What nobody measured is full; what is no number of frames is refused."""
    sizes = {"partial_frames": 800, "careful_frames": {"en": 1500}, "margin_frames": 150}
    assert [parse(sizes).finals(language) for language in ("en", "de", None)] == [1500, 3000, 1500]
    assert parse({**sizes, "careful_frames": 1000}).finals("de") == 1000
    for wrong in ({"en": 3001}, {"en": 15}, {"en": True}, {"en": {"de": 3000}}, ["en"]):
        with pytest.raises(ValueError, match=r"careful_frames is a number .*, or one for each language"):
            parse({**sizes, "careful_frames": wrong})
    for name, advice in (("german", "de"), ("pt-BR", "pt"), ("klingon", "en or yue")):
        with pytest.raises(ValueError, match=f"careful_frames: '{name}' is no code of Whisper's, such as {advice}"):
            parse({**sizes, "careful_frames": {name: 1500}})


def test_whisper_base_has_short_windows_for_english_finals_alone() -> None:
    """What is shipped for its weights: outside English half a window costs words (bench/words.md)."""
    sizes = read(window_sizes.SHIPPED_FOLDER / "3c8233c590c82242.json")
    assert (sizes.partial, sizes.margin) == (800, 150)
    assert [sizes.finals(language) for language in ("en", "de", "ja", None)] == [1500, 3000, 3000, 1500]


def test_the_demo_model_has_the_windows_it_was_trained_on() -> None:
    """6 s at least, features padded with zeros, a sentence at a time; one that nobody measured has the full one."""
    assert find(DEMO_FOLDER, CPU) == WindowSizes(partial=600, careful=600, margin=30, packed=800, padding=0.0)


def test_a_gpu_gets_full_windows_until_somebody_has_measured_there(tmp_path: Path, cache: Path) -> None:
    """What is right in time on a CPU is nothing that a GPU needs; how it was trained holds on both."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    measured, own = WindowSizes(800, 1500, 150, padding=0.0, packed=800), WindowSizes(1000, 1000, 100)
    write(prepare(place(tmp_path, CPU)), measured, {})
    assert (find(tmp_path, CPU), find(tmp_path, CUDA)) == (measured, None)
    assert sizes_for(tmp_path, CUDA) == WindowSizes(padding=0.0, packed=800)
    write(prepare(place(tmp_path, CUDA)), own, {})
    assert (sizes_for(tmp_path, CPU), sizes_for(tmp_path, CUDA)) == (measured, own)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["window_sizes.cuda.json", "window_sizes.json"]


def test_the_cache_too_knows_the_device(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured on a GPU only: a CPU gets full windows."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    path = prepare(place(tmp_path, CUDA))
    assert path == cache / f"{fingerprint(tmp_path)}.cuda.json"
    write(path, WindowSizes(1000, 1000), {})
    assert (sizes_for(tmp_path, CUDA), sizes_for(tmp_path, CPU)) == (WindowSizes(1000, 1000), FULL_WINDOWS)
