"""What a chat completion says: the text of the answer, why it ended, and the tokens that it took."""

from __future__ import annotations

from typing import Any

from kinmo_annotate.describe.llm.form import AnswerError


def answer_text(body: dict[str, Any]) -> str:
    """Take the text out of a response.

    Raises:
        AnswerError: the model refused, was cut off, or wrote nothing.
    """
    choice = body["choices"][0]
    message = _object(choice.get("message"))
    if message.get("refusal"):
        raise AnswerError(f"the model refused: {' '.join(str(message['refusal']).split())[:200]}")
    if choice.get("finish_reason") == "content_filter":
        raise AnswerError("the endpoint's content filter cut the answer")
    if choice.get("finish_reason") == "length":
        raise AnswerError("the answer was cut off for its length")
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        raise AnswerError("the answer is empty")
    return text


def finish_reason(body: dict[str, Any]) -> str:
    """Tell why the model ended."""
    return str(body["choices"][0].get("finish_reason") or "")


def usage_of(body: dict[str, Any]) -> tuple[int, int, int]:
    """Read the tokens that an endpoint counted: in, out, and of those in, from its prompt cache."""
    usage = _object(body.get("usage"))
    cached = _count(_object(usage.get("prompt_tokens_details")).get("cached_tokens"))
    tokens_in = _count(usage.get("prompt_tokens"))
    return tokens_in, _count(usage.get("completion_tokens")), min(cached, tokens_in)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else 0
