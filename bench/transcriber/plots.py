"""The figures of the page."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from bench.transcriber.results import LIMIT, SIZES, WORKLOADS, Results, Workload, is_hopeless
from bench.transcriber.servers import VARIANTS

STYLE = {"ours": ("#0b6e4f", "o"), "tuned": ("#c8553d", "s"), "batch": ("#e09f3e", "D"), "default": ("#7a7a7a", "^")}
"""Colour and marker."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes the figures that there is data for."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
        "legend.frameon": False, "figure.dpi": 120, "axes.titlesize": 10, "axes.titleweight": "bold",
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    made = [
        _by_streams(results, folder / "latency.png", "final_p95", "final latency p95, s", logarithmic=True),
        _by_streams(results, folder / "cpu.png", "cpu_per_speech_s", "CPU-s per second of speech", logarithmic=True),
        _by_streams(results, folder / "memory.png", "memory", "memory (RSS), MiB", logarithmic=False),
    ]
    if "soak" in results.extra:
        made.append(_soak(results.extra["soak"], folder / "soak.png"))
    return made


def _by_streams(results: Results, path: Path, metric: str, label: str, *, logarithmic: bool) -> Path:
    """One panel per load: a metric over the number of streams; hollow where something was lost."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(WORKLOADS), figsize=(14, 3.6), sharey=True, constrained_layout=True)
    for panel, work in zip(panels, WORKLOADS, strict=True):
        for key, variant in VARIANTS.items():
            _line(panel, results, work, key, metric, variant.title)
        if metric == "final_p95":
            panel.axhline(LIMIT, color="black", linewidth=0.8, linestyle=":")
            panel.text(1.0, LIMIT, f" {LIMIT:g} s", transform=panel.get_yaxis_transform(), va="center", fontsize=8)
        panel.set_title(work.title)
        panel.set_xscale("log", base=2)
        panel.set_xticks(work.sizes, [str(size) if size.bit_count() == 1 else "" for size in work.sizes])
        panel.minorticks_off()
        panel.set_xlim(0.85, work.sizes[-1] * 1.18)
        panel.set_xlabel("streams on one core" if work.cores == 1 else f"streams on {work.cores} cores")
        if logarithmic:
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")
    if not logarithmic:
        panels[0].set_ylim(bottom=0)  # once all are drawn: they share the axis
    panels[0].set_ylabel(label)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return _save(figure, path)


def _line(panel: Any, results: Results, work: Workload, key: str, metric: str, name: str) -> None:
    colour, marker = STYLE[key]
    points = []
    for size in SIZES:
        rows = results.repetitions(work, size, key)
        values = [raw["memory_mib"][1] if metric == "memory" else raw["metrics"][metric] for raw in rows]
        values = sorted(value for value in values if value is not None)
        if values:
            points.append((size, values, any(map(is_hopeless, rows))))
    if not points:
        return
    middles = [statistics.median(values) for _, values, _ in points]
    panel.plot([size for size, _, _ in points], middles, color=colour, linewidth=1.6, marker=marker, label=name)
    for (size, values, lossy), middle in zip(points, middles, strict=True):
        panel.vlines(size, values[0], values[-1], color=colour, linewidth=1.2)
        if lossy:
            panel.plot(size, middle, marker=marker, color=colour, markerfacecolor="white", zorder=3)


def _soak(soak: dict[str, Any], path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.0), sharey=True, constrained_layout=True)
    colour = STYLE["ours"][0]
    left.plot([at / 60 for at, _ in soak["long"]], [mib for _, mib in soak["long"]], color=colour, linewidth=1)
    left.set(title=f"{soak['streams']} streams that come and go", xlabel="minutes", ylabel="memory (RSS), MiB")
    right.plot([count for count, _ in soak["short"]], [mib for _, mib in soak["short"]], color=colour, linewidth=1)
    right.set(title=f"then {soak['connects']:,} clients of one second", xlabel="clients")
    left.set_ylim(0, 1.15 * max(mib for _, mib in soak["long"] + soak["short"]))
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure.savefig(path)
    plt.close(figure)
    return path
