"""How many tokens a request is, as the endpoint would count them, without asking it to answer.

Three ways, the most exact first: the endpoint's own `/tokenize` (llama.cpp, vLLM), with its chat template;
tiktoken, where it is installed and its vocabulary is on this machine; else the pieces of the text (words,
digits by threes, signs), of which a token is nearly always one; the ratio was measured on our own requests
(`models.yaml`). Nothing is ever downloaded.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from kinmo_annotate.describe.llm.prices import Prices, Tokenizer
from kinmo_annotate.schema.records import MotionError

_SECONDS: Final = 10.0
_VOCABULARIES: Final = (
    "https://openaipublic.blob.core.windows.net/encodings"  # the name it has in tiktoken's cache
)
_PIECE: Final = re.compile(r"[A-Za-z]+|[^\W\d_]|\d{1,3}|(?:[^\w\s]|_)+|\n+")
_KEPT: Final = 256  # texts that come again: the static part, the schema


@dataclass(frozen=True, slots=True)
class RequestTokens:
    """Tokens of one request.

    Attributes:
        static: the part that is equal in all requests of a run, with what the chat template adds.
        schema: the schema of the answer, where it is billed; before the static part.
        motion: the part about the motion.
    """

    static: float
    schema: float
    motion: float

    @property
    def total(self) -> float:
        """All that is sent."""
        return self.static + self.schema + self.motion


class TokenCounter(Protocol):
    """Counts tokens.

    Attributes:
        way: how, for people.
        exact: whether it is the model's own tokenizer.
    """

    way: str
    exact: bool

    def text(self, text: str, part: str) -> float:
        """Count a text that belongs to a part: static, motion, schema or answer."""
        ...

    def request(self, body: Mapping[str, Any]) -> RequestTokens:
        """Count the body of a chat completion."""
        ...


def open_counter(
    model: str, prices: Prices, *, base_url: str | None = None, key: str | None = None
) -> tuple[TokenCounter, list[str]]:
    """Choose the most exact way to count that there is.

    Args:
        model: that will be asked.
        prices: with the ratios.
        base_url: of an endpoint whose own tokenizer is wanted; None asks nobody.
        key: for that endpoint.

    Returns:
        The counter, and what a person should know about the choice, a line each.
    """
    notes: list[str] = []
    if base_url:
        try:
            return EndpointCounter(model, base_url, key), notes
        except MotionError as error:
            notes.append(f"{error.where}: {error.reason}; tokens are counted without it.")
    entry = prices.of(model)
    # servers of one's own constrain the answer by the schema, and do not show it to the model
    tokenizer, schema = prices.tokenizer(model), entry is not None and entry.schema_in_prompt
    if entry is None:
        notes.append(f"{model} is not in the list of models: tokens are counted as those of GPT-4o.")
    encode = _tiktoken(entry.tokenizer) if entry else None
    if encode is not None:
        return VocabularyCounter(encode, tokenizer, schema), notes
    return PieceCounter(tokenizer, schema), notes


class _PartsCounter:
    """Counts a request part by part."""

    way = ""
    exact = False

    def __init__(self, tokenizer: Tokenizer, schema: bool) -> None:
        self._tokenizer, self._schema = tokenizer, schema

    def text(self, text: str, part: str) -> float:
        """Count a text."""
        raise NotImplementedError

    def request(self, body: Mapping[str, Any]) -> RequestTokens:
        """Count the body of a chat completion."""
        messages, schema = body["messages"], schema_of(body) if self._schema else ""
        static, motion = float(self._tokenizer.per_request), 0.0
        for message in messages:
            static += self._tokenizer.per_message
            if message["role"] == "system":
                static += self.text(message["content"], "static")
            else:
                motion += self.text(message["content"], "motion")
        return RequestTokens(static, self.text(schema, "schema") if schema else 0.0, motion)


class PieceCounter(_PartsCounter):
    """Counts pieces of text, by the tokens per piece that were measured."""

    way = "words, digits and signs, with the ratio measured on our requests"

    def text(self, text: str, part: str) -> float:
        """Count a text by its pieces."""
        return pieces(text) * self._tokenizer.per_piece(part)


class VocabularyCounter(_PartsCounter):
    """Counts with the vocabulary of the model."""

    way = "tiktoken"
    exact = True

    def __init__(self, encode: Callable[[str], list[int]], tokenizer: Tokenizer, schema: bool) -> None:
        super().__init__(tokenizer, schema)
        self._count = lru_cache(_KEPT)(lambda text: len(encode(text)))

    def text(self, text: str, part: str) -> float:
        """Count a text exactly."""
        return self._count(text)


class EndpointCounter:
    """Counts with the tokenizer and the chat template of an endpoint."""

    exact = True

    def __init__(self, model: str, base_url: str, key: str | None = None) -> None:
        """Try which of the two ways the endpoint knows.

        Raises:
            MotionError: neither, or nobody answers.
        """
        self._model, self._root, self._key = model, server_root(base_url), key
        self._count = lru_cache(_KEPT)(self._tokenized)
        self._vllm = False
        try:
            self._vllm = not self._ask("/tokenize", {"content": "a b"})["tokens"]
        except (KeyError, TypeError, MotionError):
            self._vllm = True
        self._tokenized("a b")
        self.way = f"{self._root}/tokenize"

    def text(self, text: str, part: str) -> float:
        """Count a text exactly."""
        return self._count(text)

    def request(self, body: Mapping[str, Any]) -> RequestTokens:
        """Count the body of a chat completion; a schema constrains such endpoints and is no input."""
        messages = [dict(message) for message in body["messages"]]
        motion = sum(self._tokenized(m["content"]) for m in messages if m["role"] != "system")
        if self._vllm:
            total = self._number({"model": self._model, "messages": messages, "add_generation_prompt": True})
        else:
            total = self._templated(messages)
        return RequestTokens(total - motion, 0.0, motion)

    def _templated(self, messages: list[dict[str, str]]) -> int:
        """Count messages with llama.cpp's template; where it shows none, without one.

        Raises:
            MotionError: the endpoint does not answer.
        """
        try:
            prompt = str(self._ask("/apply-template", {"messages": messages})["prompt"])
        except (KeyError, TypeError, MotionError):
            return sum(self._tokenized(message["content"]) for message in messages)
        return self._number({"content": prompt, "add_special": True, "parse_special": True})

    def _tokenized(self, text: str) -> int:
        if self._vllm:
            return self._number({"model": self._model, "prompt": text, "add_special_tokens": False})
        return self._number({"content": text, "add_special": False})

    def _number(self, body: dict[str, Any]) -> int:
        """Ask how many tokens something is.

        Raises:
            MotionError: the endpoint does not answer, or not with tokens.
        """
        answer = self._ask("/tokenize", body)
        try:
            return len(answer["tokens"])
        except (KeyError, TypeError):
            raise self._error("answers /tokenize without tokens") from None

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self._root + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        if self._key:  # not sent on where the endpoint points elsewhere
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:
                return json.loads(response.read())
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise self._error(f"{path} cannot be asked ({reason})") from None

    def _error(self, reason: str) -> MotionError:
        return MotionError(self._root, reason, "Check --base-url, and that the server is running.")


def server_root(base_url: str) -> str:
    """Give the root of a server from the base URL of its OpenAI-compatible part.

    Raises:
        MotionError: it is no http address.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MotionError(
            f"--base-url {base_url}", "is no http address", "Give one like http://127.0.0.1:8080/v1."
        )
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def pieces(text: str) -> int:
    """Count what tokenizers of language models begin with: words, digits by threes, signs, line ends.

    A common English word is one token. Letters of other scripts count one by one, which is on the safe side.
    """
    return len(_PIECE.findall(text))


def schema_of(body: Mapping[str, Any]) -> str:
    """Write the schema of the answer as compactly as it is sent; empty where a body has none."""
    form = body.get("response_format") or {}
    schema = form.get("json_schema")
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False) if schema else ""


def _tiktoken(name: str) -> Callable[[str], list[int]] | None:
    """Open a vocabulary of tiktoken that lies in its cache; None where tiktoken would have to download it."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder == "":  # tiktoken's word for no cache
        return None
    kept = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache")
    if not (kept / sha1(f"{_VOCABULARIES}/{name}.tiktoken".encode()).hexdigest()).is_file():
        return None
    try:
        encoding = importlib.import_module("tiktoken").get_encoding(name)
    except Exception:  # absent, damaged or another version: there is another way to count
        return None
    return lambda text: list(encoding.encode(text, disallowed_special=()))
