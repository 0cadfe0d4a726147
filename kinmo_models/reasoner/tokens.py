"""Texts as tokens: the tokenizer of a language model, or one made of the dataset's own texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_models.reasoner.form import END, KEEP, NAMES, Piece
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.pretrained import AGAIN

IGNORED: Final = -100  # the label of a token that is not learned, as in transformers
_PAD: Final = "<pad>"
# A word with the space before it, a number with its decimals, a sign: none is ever joined with another.
_WORDS: Final = r" ?\d+(?:\.\d+)?| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s"
# Of a sentence; anything else, such as a colon or an end of line, the model is never let write.
_ALLOWED: Final = re.compile(r"[A-Za-z0-9 .,;'’%()/-]+")
_STARTS: Final = re.compile(r"\s*[A-Za-z0-9]")


class TextTokens:
    """A tokenizer, with what decoding needs to know of its vocabulary.

    Attributes:
        tokenizer: of transformers.
        end: tokens of the end of a line.
        keep: tokens that say that a field stays.
        begin: what every text begins with, where the tokenizer has such a token.
        pad: token that fills up, whatever it is.
        size: entries of the vocabulary.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size = len(tokenizer)
        self.piece = lru_cache(maxsize=1 << 16)(self._encode_piece)
        self.end, self.keep = self.piece(END), self.piece(KEEP)
        self.begin = () if tokenizer.bos_token_id is None else (int(tokenizer.bos_token_id),)
        pad = tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else self.end[0])

    @classmethod
    def learn(cls, texts: Iterable[str], most: int) -> TextTokens:
        """Make a tokenizer of texts: their words, and bytes for any other.

        Args:
            texts: of the split train.
            most: entries of the vocabulary.
        """
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        made = Tokenizer(models.BPE())
        words = pre_tokenizers.Split(Regex(_WORDS), "isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=most,
            min_frequency=2,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=[_PAD],
        )
        made.train_from_iterator((f" {text}" for text in texts), trainer)
        whole = [*(f"{name}:" for name in NAMES), f" {NO_MOVEMENT}", KEEP]
        made.add_tokens([AddedToken(text, normalized=False) for text in whole])
        return cls(PreTrainedTokenizerFast(tokenizer_object=made, pad_token=_PAD))

    @classmethod
    def load(cls, folder: Path) -> TextTokens:
        """Read the tokenizer of a checkpoint.

        Raises:
            TrainingError: it is missing or damaged.
        """
        from transformers import PreTrainedTokenizerFast

        try:
            return cls(PreTrainedTokenizerFast.from_pretrained(str(folder)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise TrainingError(folder / "tokenizer.json", "is missing or damaged", AGAIN) from None

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json."""
        self.tokenizer.save_pretrained(str(folder))

    def _encode_piece(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
        """Give the tokens of a text, and their labels: the token where it is learned, else `IGNORED`."""
        tokens = list(self.begin)
        labels = [IGNORED] * len(tokens)
        for text, learned in pieces:
            found = self.piece(text)
            tokens += found
            labels += found if learned else [IGNORED] * len(found)
        return tokens, labels

    def decode(self, tokens: Sequence[int]) -> str:
        """Give the text of tokens."""
        return str(self.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))

    def allowed(self) -> tuple[Tensor, Tensor]:
        """Tell which tokens may begin a sentence, and which may go on with one: two (V,) bool tensors."""
        special = set(self.tokenizer.all_special_ids)
        inside = torch.zeros(self.size, dtype=torch.bool)
        starts = torch.zeros(self.size, dtype=torch.bool)
        for token in range(self.size):
            text = "" if token in special else self.decode([token])
            if text and _ALLOWED.fullmatch(text):
                inside[token] = True
                starts[token] = bool(_STARTS.match(text))
        return starts, inside
