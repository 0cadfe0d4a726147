"""What the endpoint says: sentences made from a hash of the request, token counts, the completion object."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

SUBJECT = {
    "torso": "The torso",
    "neck": "The head",
    "left_arm": "The left arm",
    "right_arm": "The right arm",
    "left_leg": "The left leg",
    "right_leg": "The right leg",
}
ALONE = (
    "{a} moves forward at about {t} s and returns.",
    "{a} rises slowly from {t} s to {u} s.",
    "{a} swings {n} times between {t} s and {u} s.",
    "{a} lowers after {t} s and stays there.",
    "No notable movement.",
)
TOGETHER = (
    "{a} and {b} move apart from {t} s to {u} s.",
    "{a} comes closer to {b} at {t} s.",
    "{a} stays above {b} throughout.",
    "{a} and {b} swing in opposition {n} times.",
    "Not determined.",
)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(body: dict[str, Any]) -> str:
    """Hash what is asked for: model, messages and response_format."""
    asked = {name: body.get(name) for name in ("model", "messages", "response_format")}
    return hashlib.sha256(canonical(asked)).hexdigest()


def text_of(message: dict[str, Any]) -> str:
    """The text of one message, whose content may be a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def sentences(body: dict[str, Any], fixed: dict[str, str]) -> dict[str, str]:
    """A sentence for each property that the schema asks for.

    They follow from the model, the system text and the first user text alone: a request that is asked again
    with a reason attached gets the same words, and so does the same request in a batch.
    """
    messages = body["messages"]
    first = next((n for n, m in enumerate(messages) if m.get("role") == "user"), len(messages) - 1)
    heard = [body["model"], *(text_of(m) for m in messages[: first + 1])]
    bits = hashlib.sha256(canonical(heard)).digest()
    return {name: fixed.get(name) or _sentence(name, bits) for name in properties(body)}


def properties(body: dict[str, Any]) -> list[str]:
    """The names in the JSON schema of the request; without a schema, none."""
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema") or {}
    return list(schema.get("properties") or {})


def _sentence(name: str, bits: bytes) -> str:
    seed = hashlib.sha256(bits + name.encode()).digest()
    parts = [SUBJECT.get(part, f"The {part.replace('_', ' ')}") for part in name.split("__")]
    patterns = ALONE if len(parts) == 1 else TOGETHER
    pattern = patterns[seed[0] % len(patterns)]
    start = seed[1] % 40 / 10
    return pattern.format(a=parts[0], b=parts[-1].lower(), t=start, u=start + 0.5, n=2 + seed[2] % 4)


def tokens(text: str) -> int:
    """Pretend that a token is four bytes."""
    return (len(text.encode()) + 3) // 4


def usage_of(body: dict[str, Any], content: str, seen: set[str]) -> dict[str, Any]:
    """Count tokens; in prompts of 1,024 the system text counts as cached (in 128s) once it was seen."""
    texts = [text_of(message) for message in body["messages"]]
    prompt = sum(tokens(text) + 4 for text in texts)
    cached = tokens(texts[0]) // 128 * 128 if prompt >= 1024 and texts[0] in seen else 0
    if prompt >= 1024:
        seen.add(texts[0])
    completion = tokens(content)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion_of(
    body: dict[str, Any], digest: str, fixed: dict[str, str], usage: dict[str, int] | None, seen: set[str]
) -> dict[str, Any]:
    """The chat completion that a healthy endpoint sends; `usage` replaces single counts.

    As at the real API, an answer longer than max_completion_tokens is cut off.
    """
    wanted = sentences(body, fixed)
    content = json.dumps(wanted, ensure_ascii=False) if wanted else "Hello."
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    cut_off = bool(most) and tokens(content) > most
    if cut_off:
        content = content.encode()[: 4 * most].decode("utf-8", "ignore")
    counts = usage_of(body, content, seen)
    if usage:
        counts |= {k: usage[k] for k in ("prompt_tokens", "completion_tokens") if k in usage}
        counts["prompt_tokens_details"]["cached_tokens"] = usage.get("cached_tokens", 0)
        counts["total_tokens"] = counts["prompt_tokens"] + counts["completion_tokens"]
    ended = "length" if cut_off else "stop"
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{digest[:29]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": ended}],
        "usage": counts,
        "service_tier": "default",
        "system_fingerprint": "fp_kinmo_tests",
    }
