"""The network: Whisper's shape, 3.98 million parameters, its modules named as in transformers, plus two heads for training.

Padding: the encoder must see 1500 positions, but after the convolutions all padding is one vector plus a position. A few
sampled padding positions stand for all of them, their attention raised by log(all / sampled): the same statistics, cheaper.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tokens import COUNT, TIME_ZERO
from torch import Tensor, nn

WIDTH, HEADS, ENCODERS, DECODERS = 192, 3, 4, 2
POSITIONS = 1500


def sinusoids(count: int, width: int) -> Tensor:
    """Whisper's positions, shape (count, width)."""
    steps = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(count)[:, None] * steps[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Attention(nn.Module):
    """Multi-head attention that can hand out its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, width), memory (B, S, width), bias added to the logits; the weights (B, heads, T, S)."""
        q, k, v = (
            p(y).view(y.shape[0], y.shape[1], HEADS, -1).transpose(1, 2)
            for p, y in ((self.q_proj, x), (self.k_proj, memory), (self.v_proj, memory))
        )
        logits = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
        weights = (logits if bias is None else logits + bias).softmax(-1)
        return self.out_proj((weights.to(v.dtype) @ v).transpose(1, 2).reshape(x.shape)), weights


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(), nn.LayerNorm(WIDTH)
        self.fc1, self.fc2, self.final_layer_norm = (
            nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH),
        )  # fmt: skip

    def attend(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The attention half."""
        normal = self.self_attn_layer_norm(x)
        return x + self.self_attn(normal, normal, bias)[0]

    def think(self, x: Tensor) -> Tensor:
        """The feed-forward half."""
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class DecoderLayer(EncoderLayer):
    """The same with a look at the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_attn, self.encoder_attn_layer_norm = Attention(), nn.LayerNorm(WIDTH)


class Encoder(nn.Module):
    """Mel features to states."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(POSITIONS, WIDTH)
        self.embed_positions.weight.data = sinusoids(POSITIONS, WIDTH) * 0.35  # small: content must not drown
        self.embed_positions.weight.requires_grad = False
        for convolution, gain in ((self.conv1, 2.0), (self.conv2, 2.4)):
            nn.init.xavier_normal_(convolution.weight, gain)
            nn.init.zeros_(convolution.bias)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(ENCODERS))
        for layer in self.layers:  # keys begin equal to queries: attention starts local
            nn.init.orthogonal_(layer.self_attn.q_proj.weight, 1.2)
            layer.self_attn.k_proj.weight.data.copy_(layer.self_attn.q_proj.weight.data)
        self.layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, mel: Tensor, sampled: int | None) -> tuple[Tensor, Tensor | None]:
        """mel (B, 80, T), T even; states, and the bias for attention to them. `sampled` None: all 1500 positions."""
        if sampled is None:
            x, bias = self._convolve(F.pad(mel, (0, 2 * POSITIONS - mel.shape[2]))) + self.embed_positions.weight, None
        else:
            count = mel.shape[2] // 2 + 1
            x = self._convolve(F.pad(mel, (0, 4)))[:, :count] + self.embed_positions.weight[:count]
            padding = self._convolve(torch.zeros(1, 80, 16))[:, 4:5]
            edges = torch.linspace(count, POSITIONS, sampled + 1)
            places = (edges[:-1] + torch.rand(sampled) * edges.diff()).long().clamp(max=POSITIONS - 1)
            tail = padding + self.embed_positions.weight[places]
            x = torch.cat([x, tail.expand(x.shape[0], -1, -1).to(x.dtype)], 1)
            bias = torch.zeros(1, 1, 1, x.shape[1])
            bias[..., count:] = math.log((POSITIONS - count) / sampled)
        for layer in self.layers:
            x = layer.think(layer.attend(x, bias))
        return self.layer_norm(x), bias

    def _convolve(self, mel: Tensor) -> Tensor:
        return F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)


class Decoder(nn.Module):
    """Tokens to the next token, and where each layer looked."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens, self.embed_positions = nn.Embedding(COUNT, WIDTH), nn.Embedding(448, WIDTH)
        nn.init.normal_(self.embed_tokens.weight, std=0.05)
        # Time k is encoder position k: "say the time of the frame you look at" is nearly given.
        times = sinusoids(POSITIONS + 1, WIDTH) * 0.1
        self.embed_tokens.weight.data[TIME_ZERO:] = times + torch.randn_like(times) * 0.01
        self.embed_positions.weight.data = sinusoids(448, WIDTH) * 0.1
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(DECODERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, states: Tensor, bias: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """tokens (B, U); logits (B, U, tokens), attention weights per layer."""
        count = tokens.shape[1]
        x, looks = self.embed_tokens(tokens) + self.embed_positions.weight[:count], []
        future = torch.full((count, count), -math.inf).triu(1)
        for layer in self.layers:
            x = layer.attend(x, future)
            seen, weights = layer.encoder_attn(layer.encoder_attn_layer_norm(x), states, bias)
            x = layer.think(x + seen)
            looks.append(weights)
        return F.linear(self.layer_norm(x), self.embed_tokens.weight), looks


class Network(nn.Module):
    """Encoder, decoder, and for training a word per frame and phones (CTC)."""

    def __init__(self, words: int, phones: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.frame_words, self.phones = nn.Linear(WIDTH, words), nn.Linear(WIDTH, phones)
