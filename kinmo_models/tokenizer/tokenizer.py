"""A trained tokenizer, to encode and decode motions with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kinmo_models.data.statistics import Statistics
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import TokenizerConfig
from kinmo_models.tokenizer.model import TokenizerModel
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, load_weights, model_fingerprint, read_meta

KIND: Final = "tokenizer"


class Tokenizer(Coder):
    """Motions to tokens and back; see `Coder` for what it does.

    `tokens = Tokenizer.from_pretrained("RUN").encode([features])`

    Attributes:
        meta: what its meta.json says: dataset, seed, validation, ...
        config: the settings that it was trained with.
        fingerprint: digest of weights, settings and statistics.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.meta = read_meta(folder, KIND)
        self.config = from_yaml(TokenizerConfig, folder / CONFIG)
        self.fingerprint = model_fingerprint(folder)
        model = TokenizerModel(self.config.model, self.config.quantiser)
        load_weights(model, folder)
        model.requires_grad_(False)
        super().__init__(model.to(device).eval(), Statistics.load(folder), device)

    @classmethod
    def from_pretrained(cls, model: str | Path, *, device: str | None = None) -> Tokenizer:
        """Load a trained tokenizer; the dataset that it was trained on is not needed.

        Args:
            model: a RUN folder (its best checkpoint), a checkpoint's folder, or a name on the hub.
            device: "cpu", "cuda", ...; None is a GPU where there is one.

        Raises:
            TrainingError: there is no such model, it is damaged, or it is of another kind.
            DatasetError: its statistics are missing or damaged.
        """
        return cls(resolve_model(model), best_device(device))
