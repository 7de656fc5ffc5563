"""Stage 2: training.   python train.py --minutes 80 [--threads 1] [--from work/other.pt] [--out work/model.pt]

Windows are composed as they are needed. The curriculum goes by time: short windows first, then up to 15 s.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from grammar import VOCABULARY
from network import Network
from tokens import COUNT, END, FIRST_WORD, NO_SPEECH, NO_TIMES, PREVIOUS, START, TIME_ZERO, WORD, time_token
from torch import Tensor
from windows import LONGEST, Composer, Window

WORK = Path("work")
SAMPLED_PADDING = 14
POSITIONS_PER_STEP = 2400
BUFFER = 150
"""Windows from which a batch of similar length is taken."""
SMOOTHING, TIME_SPREAD = 0.05, 1.5
"""Label smoothing of words; standard deviation of times in steps of 20 ms."""
WEIGHT_FRAMES, WEIGHT_PHONES, WEIGHT_GUIDE = 0.5, 0.25, 0.3


def pronunciations() -> tuple[dict[str, list[int]], int]:
    """Phones of every word by flite, numbered from 1, and how many there are."""
    path = WORK / "phones.json"
    if not path.exists():
        spoken = {
            word: subprocess.run(["flite", "-ps", "-t", word, "none"], capture_output=True, text=True).stdout.split()
            for word in VOCABULARY
        }
        path.write_text(json.dumps({word: [p for p in phones if p != "pau"] for word, phones in spoken.items()}))
    phones = json.loads(path.read_text())
    numbers = {phone: n for n, phone in enumerate(sorted({p for said in phones.values() for p in said}), 1)}
    return {word: [numbers[p] for p in said] for word, said in phones.items()}, len(numbers)


@dataclass(frozen=True)
class Target:
    """One token to be written, and the span of time (seconds) that the decoder should look at meanwhile."""

    token: int
    start: float | None = None
    end: float | None = None


def targets(window: Window, with_times: bool) -> list[Target]:
    """The text of a window as tokens."""
    if not with_times:
        return [Target(WORD[word], start, end) for segment in window.segments for word, start, end in segment]
    if not window.segments:
        return [Target(TIME_ZERO)]
    out = []
    for number, segment in enumerate(window.segments):
        start, end = segment[0][1], segment[-1][2]
        out.append(Target(time_token(start), start - 0.10, start + 0.14))
        last = number == len(window.segments) - 1
        if last and number and window.is_cut_off and end > LONGEST - 0.15:
            break  # it goes on in the next window
        out += [Target(WORD[word], s, e) for word, s, e in segment]
        out.append(Target(time_token(end), end - 0.14, end + 0.10))
    return out


@dataclass(frozen=True)
class Batch:
    """Tensors of one step."""

    mel: Tensor
    frame_words: Tensor
    tokens: Tensor
    expected: Tensor
    guides: list[tuple[int, int, int, float, float]]
    """(layer 0 or 1, row, position, start, end): where the first head should look."""
    silent: list[tuple[int, int]]
    """(row, position) where <|nospeech|> is to be likely."""
    phones: list[list[int]]


class Batches:
    """Windows of similar length, turned into tensors."""

    def __init__(self, composer: Composer, spoken: dict[str, list[int]], rng: random.Random) -> None:
        self._composer, self._spoken, self._rng = composer, spoken, rng
        self._buffer: list[Window] = []

    def next(self, progress: float) -> Batch:
        """A batch for this share of the training time."""
        longest = float(np.interp(progress, [0, 0.25, 0.55, 1], [3.3, 4.0, LONGEST, LONGEST]))
        while len(self._buffer) < BUFFER:
            self._buffer.append(self._composer.window(longest))
        self._buffer.sort(key=lambda window: window.features.shape[1])
        first = self._rng.randrange(len(self._buffer))
        length = self._buffer[first].features.shape[1]
        count = max(4, min(32, POSITIONS_PER_STEP // (length // 2 + 30)))
        first = min(first, len(self._buffer) - count)
        chosen, self._buffer[first : first + count] = self._buffer[first : first + count], []
        return self._batch(chosen, prompted=self._rng.random() < (0.15 if progress < 0.5 else 0.4))

    def _batch(self, windows: list[Window], prompted: bool) -> Batch:
        longest = max(window.features.shape[1] for window in windows) + self._rng.choice([0, 0, 20, 60])
        longest = min(1500, longest + longest % 2)
        mel = np.zeros((len(windows), 80, longest), np.float32)
        words = np.zeros((len(windows), longest // 2), np.int64)
        rows, phones, silent, guides = [], [], [], []
        for row, window in enumerate(windows):
            frames = min(longest, window.features.shape[1])
            mel[row, :, :frames] = self._colour(window.features[:, :frames])
            for word, start, end in (word for segment in window.segments for word in segment):
                words[row, int(start * 50) : max(int(start * 50) + 1, int(end * 50))] = WORD[word] - FIRST_WORD + 1
            for start, end in window.blurred:
                words[row, int(start * 50) : int(end * 50) + 1] = -100
            phones.append([p for segment in window.segments for word, _, _ in segment for p in self._spoken[word]])
            with_times = self._rng.random() >= 0.25
            before = self._prompt(windows) if prompted and self._rng.random() < 0.7 else []
            head = [*before, START, *([] if with_times else [NO_TIMES])]
            sequence = [Target(t) for t in head] + targets(window, with_times) + [Target(END)]
            if not window.segments:
                silent.append((row, len(before)))
            guides += _guides(row, len(head) - 1, sequence)
            rows.append((len(head) - 1, [target.token for target in sequence]))
        tokens = torch.full((len(rows), max(len(t) for _, t in rows) - 1), END)
        expected = torch.full_like(tokens, -100)
        for row, (first, sequence) in enumerate(rows):
            tokens[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
            expected[row, first : len(sequence) - 1] = torch.tensor(sequence[first + 1 :])
        for row, position in silent:
            expected[row, position] = -100
        return Batch(torch.from_numpy(mel), torch.from_numpy(words), tokens, expected, guides, silent, phones)

    def _prompt(self, windows: list[Window]) -> list[int]:
        """Text from elsewhere, as if it had been said before."""
        words = [target.token for w in self._rng.sample(windows, 2) for target in targets(w, self._rng.random() < 0.6)]
        return [PREVIOUS, *words[: self._rng.choice([10, 30, 60])]]

    def _colour(self, features: np.ndarray) -> np.ndarray:
        """Other microphones: a smooth curve, a band or a moment missing."""
        rng, features = self._rng, features.copy()
        if rng.random() < 0.6:
            curve = np.interp(np.arange(80), [0, 20, 40, 60, 80], [rng.uniform(-0.12, 0.12) for _ in range(5)])
            features += curve[:, None].astype(np.float32) + rng.uniform(-0.12, 0.12)
        if rng.random() < 0.3:
            band = rng.randrange(72)
            features[band : band + rng.randint(1, 8)] = features.mean()
        if rng.random() < 0.3 and features.shape[1] > 60:
            moment = rng.randrange(features.shape[1] - 10)
            features[:, moment : moment + rng.randint(1, 7)] = features.min()
        return features


def _guides(row: int, first: int, sequence: list[Target]) -> list[tuple[int, int, int, float, float]]:
    """The last layer looks at the word being written, the first at the word just written."""
    found = []
    for position in range(first, len(sequence) - 1):
        for layer, target in ((1, sequence[position + 1]), (0, sequence[position])):
            if target.start is not None and target.end is not None and (layer or position > first):
                found.append((layer, row, position, target.start, target.end))
    return found


NEAR = torch.arange(-4, 5)


def text_loss(logits: Tensor, batch: Batch) -> tuple[Tensor, float]:
    """Words smoothed, times spread over their neighbours, silence called so; and the share of words that are right."""
    chances = logits.float().log_softmax(-1)
    known = batch.expected >= 0
    expected, chosen = batch.expected[known], chances[known]
    is_time = expected >= TIME_ZERO
    plain = -chosen.gather(1, expected[:, None])[:, 0]
    words = ((1 - SMOOTHING) * plain - SMOOTHING * chosen.mean(1))[~is_time].sum()
    near = expected[is_time][:, None] + NEAR
    share = ((near >= TIME_ZERO) & (near < COUNT)) * torch.exp(-0.5 * (NEAR / TIME_SPREAD) ** 2)
    share = share / share.sum(1, keepdim=True)
    times = -(chosen[is_time].gather(1, near.clamp(TIME_ZERO, COUNT - 1)) * share).sum()
    quiet = [0.9 * chances[r, p, NO_SPEECH] + 0.1 * chances[r, p, TIME_ZERO] for r, p in batch.silent]
    total = words + times - sum(quiet, torch.zeros(()))
    right = (chosen.argmax(1) == expected)[~is_time].float().mean()
    return total / max(1, len(expected)), float(right)


def phone_loss(logits: Tensor, phones: list[list[int]]) -> Tensor:
    """CTC over the phones."""
    lengths = torch.tensor([len(said) for said in phones])
    if not int(lengths.sum()):
        return torch.zeros(())
    said = torch.tensor([phone for one in phones for phone in one])
    heard = torch.full((logits.shape[0],), logits.shape[1])
    chances = logits.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(chances, said, heard, lengths, zero_infinity=True, reduction="sum") / int(lengths.sum())


def guide_loss(looks: list[Tensor], batch: Batch) -> Tensor:
    """How little of the first head's attention lies where the word is spoken."""
    loss, content = torch.zeros(()), batch.mel.shape[2] // 2
    for layer, weight in ((0, 0.4), (1, 1.0)):
        guides = [guide for guide in batch.guides if guide[0] == layer]
        if not guides:
            continue
        look = looks[-layer][:, 0][[g[1] for g in guides], [g[2] for g in guides]]
        centre = torch.arange(look.shape[1]) * 0.02 + 0.01
        centre[content:] = math.inf
        start, end = (torch.tensor([guide[n] for guide in guides])[:, None] for n in (3, 4))
        inside = (centre >= start - 0.02) & (centre <= end + 0.02)
        some = inside.any(1)
        loss = loss - weight * ((look * inside).sum(1)[some] + 1e-4).log().mean()
    return loss


def rate(progress: float, peak: float) -> float:
    """Warm-up, plateau, cosine to zero."""
    if progress < 0.06:
        return peak * progress / 0.06
    if progress < 0.3:
        return peak
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7)))


def main() -> None:
    """Trains for a given time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="faster on CPUs with AMX, slower on others")
    parser.add_argument("--from", dest="start", default="")
    parser.add_argument("--out", default="work/model.pt")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    spoken, phones = pronunciations()
    network = Network(len(VOCABULARY) + 1, phones + 1)
    if options.start:
        network.load_state_dict(torch.load(options.start))
    decayed = [p for n, p in network.named_parameters() if p.requires_grad and p.ndim >= 2 and "embed" not in n]
    others = [p for n, p in network.named_parameters() if p.requires_grad and (p.ndim < 2 or "embed" in n)]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
    batches = Batches(Composer(WORK, 1), spoken, random.Random(2))
    began, step, smooth = time.time(), 0, dict[str, float]()
    while (progress := (time.time() - began) / (60 * options.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate(progress, options.rate)
        batch = batches.next(progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            states, bias = network.encoder(batch.mel, SAMPLED_PADDING)
            logits, looks = network.decoder(batch.tokens, states, bias)
            content = states[:, : batch.mel.shape[2] // 2]
            frames, heard = network.frame_words(content), network.phones(content)
        text, right = text_loss(logits, batch)
        frame = F.cross_entropy(frames.float().transpose(1, 2), batch.frame_words, ignore_index=-100)
        phone, guide = phone_loss(heard, batch.phones), guide_loss(looks, batch)
        loss = text + WEIGHT_FRAMES * frame + WEIGHT_PHONES * phone + WEIGHT_GUIDE * guide
        optimiser.zero_grad()
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)):
            optimiser.step()
        step += 1
        losses = {"text": text, "frames": frame, "phones": phone, "guide": guide}
        for name, value in [*((n, float(loss.detach())) for n, loss in losses.items()), ("right", right)]:
            if math.isfinite(value):  # a batch without words has no share of right ones
                smooth[name] = 0.97 * smooth.get(name, value) + 0.03 * value
        if step % 50 == 0:
            shown = " ".join(f"{k} {v:.3f}" for k, v in smooth.items())
            print(f"{time.time() - began:.0f} s, step {step}: {shown}", flush=True)
        if step % 500 == 0:
            torch.save(network.state_dict(), options.out)
    torch.save(network.state_dict(), options.out)


if __name__ == "__main__":
    main()
