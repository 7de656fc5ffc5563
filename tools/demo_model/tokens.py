"""The tokenizer: 256 byte symbols, one token per word, Whisper's special tokens and times, in the order Whisper needs.

Text tokens come before <|endoftext|>; the 1501 times follow <|notimestamps|> directly and are last.
"""

from __future__ import annotations

from grammar import VOCABULARY
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
).split()
SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", *(f"<|{language}|>" for language in LANGUAGES), "<|translate|>",
    "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]  # fmt: skip


def build() -> Tokenizer:
    """A byte-level tokenizer without merges: each known word is one token, anything else is bytes."""
    symbols = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for word in VOCABULARY:
        symbols["Ġ" + word] = len(symbols)
    tokenizer = Tokenizer(models.BPE(vocab=symbols, merges=[], ignore_merges=True))
    split = pre_tokenizers.Split(Regex(r" ?[A-Za-z0-9']+| ?[^\sA-Za-z0-9']+|\s+"), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    times = [AddedToken(f"<|{step * 0.02:.2f}|>", special=False, normalized=False) for step in range(1501)]
    tokenizer.add_tokens(times)
    return tokenizer


TOKENIZER = build()
END, START, PREVIOUS, NO_SPEECH, NO_TIMES = (
    TOKENIZER.token_to_id(t)
    for t in ("<|endoftext|>", "<|startoftranscript|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
)
TIME_ZERO = NO_TIMES + 1
COUNT = TOKENIZER.get_vocab_size()
FIRST_WORD = 256
WORD = {word: TOKENIZER.token_to_id("Ġ" + word) for word in VOCABULARY}
assert WORD[VOCABULARY[0]] == FIRST_WORD
assert TOKENIZER.token_to_id("<|0.00|>") == TIME_ZERO
assert TOKENIZER.token_to_id("<|30.00|>") == COUNT - 1


def time_token(seconds: float) -> int:
    """The token of a time, in steps of 20 ms."""
    return TIME_ZERO + min(1500, max(0, round(seconds / 0.02)))
