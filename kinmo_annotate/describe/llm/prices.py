"""What models cost, when they go, and how they want to be asked: a dated file that users may lay theirs over.

The file is `models.yaml` beside this module; its head says what each key means.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from kinmo_annotate.schema.records import MotionError

OLD_DAYS: Final = 120  # prices older than this deserve a look at the provider's page
_MILLION: Final = 1e6
_SNAPSHOT: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_REMEDY: Final = "The head of kinmo_annotate/describe/llm/models.yaml says what each key means."

Usd = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Tokens = Annotated[int, Field(strict=True, gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelPrice(_Entry):
    """One model: prices in USD per million tokens, limits in tokens, and how to ask it.

    Attributes:
        name: under which the file lists it.
        cached_input: input that the provider's prompt cache holds; None where it caches nothing.
        cache_write: input that the provider writes into its cache; None where that costs no more than input.
        batch: part of the standard price that the batch API takes.
        batch_caching: whether the batch API bills cached input as such.
        options: to be sent with each request, so that a model that reasons by default does not.
        refuses: fields of a request that must be left out.
        schema_in_prompt: whether the schema of the answer is billed as input.
        output_factor: length of its answers, in those of the kinematic describer.
    """

    name: str
    input: Usd
    output: Usd
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    batch: Annotated[Factor, Field(le=1)] = 1.0
    batch_caching: bool = True
    context: Tokens | None = None
    largest_output: Tokens | None = None
    shutdown: dt.date | None = None
    substitute: str | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    schema_in_prompt: bool = True
    tokenizer: str = "o200k_base"
    output_factor: Factor = 1.0
    source: str
    as_of: dt.date

    def cost(
        self,
        input_tokens: float,
        cached_tokens: float,
        output_tokens: float,
        batch: bool = False,
        written_tokens: float = 0,
    ) -> float:
        """Price tokens, in USD.

        Args:
            input_tokens: all tokens sent.
            cached_tokens: those of them that the provider's prompt cache held.
            output_tokens: tokens of the answers, reasoning included.
            batch: through the batch API.
            written_tokens: those of the input that the provider wrote into its cache.
        """
        cached = self.input if self.cached_input is None else self.cached_input
        if batch and not self.batch_caching:
            cached = self.input
        written = self.input if self.cache_write is None else self.cache_write
        plain_tokens = input_tokens - cached_tokens - written_tokens
        total = plain_tokens * self.input + cached_tokens * cached + written_tokens * written
        total += output_tokens * self.output
        return total * (self.batch if batch else 1.0) / _MILLION

    def warning(self, today: dt.date) -> str | None:
        """Say that the model was shut down, or is announced to be; None where nothing is known of it."""
        if self.shutdown is None:
            return None
        instead = f"Use --model {self.substitute}" if self.substitute else "Choose another --model"
        days = (self.shutdown - today).days
        if days <= 0:
            return f"{self.name} was announced to be shut down on {self.shutdown}. {instead}."
        when = "1 day" if days == 1 else f"{days} days"
        return (
            f"{self.name} is announced to be shut down on {self.shutdown}, in {when}. {instead} after that; "
            "the raw answers that are kept let a dataset be made again without it."
        )


class Tokenizer(_Entry):
    """How many tokens our texts are, without the vocabulary: per piece (see `tokens.pieces`).

    Attributes:
        tokens_per_piece: by part of a request: static, motion, schema, answer.
        spread: standard deviation of it over the motions measured, where it varies.
        per_message: tokens around each message.
        per_request: tokens once per request.
        measured: on what and when.
    """

    tokens_per_piece: dict[str, Factor]
    spread: dict[str, Usd] = Field(default_factory=dict)
    per_message: Annotated[int, Field(ge=0)] = 0
    per_request: Annotated[int, Field(ge=0)] = 0
    measured: str = ""

    def per_piece(self, part: str) -> float:
        """Tokens per piece in one part of a request; in a part that was not measured, as in the worst."""
        return self.tokens_per_piece.get(part) or max(self.tokens_per_piece.values(), default=1.0)


class Caching(_Entry):
    """From how many equal tokens on a provider caches the beginning of prompts, and in which steps."""

    from_tokens: Tokens = 1024
    step: Tokens = 128

    def cached(self, static_tokens: float) -> int:
        """Count the tokens of an equal beginning that the cache serves."""
        whole = int(static_tokens)
        return whole - whole % self.step if whole >= self.from_tokens else 0


class Prices(_Entry):
    """All models of a file, with the date on which it was read."""

    as_of: dt.date
    source: str
    caching: Caching = Field(default_factory=Caching)
    models: dict[str, ModelPrice]
    tokenizers: dict[str, Tokenizer] = Field(default_factory=dict)

    def of(self, model: str) -> ModelPrice | None:
        """Find a model by its name or that of a dated snapshot; None where the file does not list it.

        A snapshot that has an entry of its own is found under that. Nothing else is guessed: a model with
        another ending (`-audio`) or a fine-tuned one has other prices.
        """
        return self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))

    def tokenizer(self, model: str) -> Tokenizer:
        """Give the measured ratios for a model; for an unknown one those of the first tokenizer."""
        entry = self.of(model)
        if entry is not None and entry.tokenizer in self.tokenizers:
            return self.tokenizers[entry.tokenizer]
        return next(iter(self.tokenizers.values()))

    def note(self, today: dt.date, model: str | None = None) -> str | None:
        """Say when prices, of all or of one model, were read so long ago that they deserve a look."""
        entry = self.of(model) if model else None
        as_of, source = (entry.as_of, entry.source) if entry else (self.as_of, self.source)
        age = (today - as_of).days
        if age <= OLD_DAYS:
            return None
        return f"the prices are {age} days old: compare them with {source} and give newer ones by --prices."


def load_prices(path: Path | None = None) -> Prices:
    """Read our prices, and lay a user's file over them.

    Args:
        path: a YAML file of the form of models.yaml; its keys replace ours model by model.

    Raises:
        MotionError: the file cannot be read or says something that prices cannot be.
    """
    ours = files("kinmo_annotate.describe.llm").joinpath("models.yaml")
    values = _dated(_read(ours.read_text("utf-8"), "models.yaml"), {})
    where = "models.yaml"
    if path is not None:
        where = str(path)
        values = _merged(values, _dated(_read(_text(path), where), values))
    try:
        return Prices.model_validate(values)
    except ValidationError as error:
        raise MotionError(where, _first(error), _REMEDY) from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise MotionError(str(path), error.strerror or str(error), "Check --prices.") from None
    except UnicodeDecodeError:
        raise MotionError(str(path), "is no text in UTF-8", "Save it as UTF-8.") from None


def _read(text: str, where: str) -> dict[str, Any]:
    """Parse a file and see that it has the form of a mapping of mappings."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise MotionError(where, f"is no YAML{line}", "Correct that line.") from None
    except ValueError as error:  # a date that no calendar has
        raise MotionError(where, str(error), "Write dates like 2027-01-14.") from None
    if not isinstance(values, dict):
        raise MotionError(where, "holds no keys", _REMEDY)
    for key in ("models", "tokenizers"):
        part = values.get(key) or {}
        if not isinstance(part, dict) or not all(isinstance(one, dict) for one in part.values()):
            raise MotionError(where, f"{key} must be names with keys below them", _REMEDY)
        values[key] = part
    return values


def _dated(values: dict[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """Write name, date and source of a file into each of its models."""
    known = {key: values.get(key, under.get(key)) for key in ("as_of", "source")}
    models = {str(name): known | entry | {"name": str(name)} for name, entry in values["models"].items()}
    return values | {"models": models}


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one file over another, key by key of each model and tokenizer."""
    merged = {**ours, **theirs}
    for key in ("models", "tokenizers"):
        both = {**ours[key], **theirs[key]}
        merged[key] = {name: {**ours[key].get(name, {}), **both[name]} for name in both}
    return merged


def _first(error: ValidationError) -> str:
    """Name the first wrong key of a file and what is wrong with it."""
    one = error.errors()[0]
    key = ".".join(str(part) for part in one["loc"])
    return f"{key}: {one['msg'][0].lower()}{one['msg'][1:]}"
