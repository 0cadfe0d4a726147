"""One request to a language model: the body that is sent, and the key under which its answer is kept."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from kinmo_annotate.describe.llm.form import RESPONSE_FORMAT, parse_answer
from kinmo_annotate.describe.llm.prompt import Prompt

Message = dict[str, str]
MOST_TOKENS: Final = "max_completion_tokens"
MOST_TOKENS_BEFORE: Final = "max_tokens"
AGAIN: Final = "Run the same command again with --retry-failures to ask for it once more."


@dataclass(frozen=True, slots=True)
class Asked:
    """What every request for sentences of a run has in common (`ask.Task`).

    Attributes:
        model: name at the endpoint.
        prompt: the words.
        output_tokens: most tokens of an answer.
        options: further values of the body, such as temperature or reasoning_effort.
    """

    model: str
    prompt: Prompt
    output_tokens: int
    options: Mapping[str, Any]

    @property
    def again(self) -> str:
        """What to do for a motion that got no answer."""
        return AGAIN

    def check(self, text: str) -> None:
        """See whether an answer has the 21 sentences.

        Raises:
            AnswerError: it has not.
        """
        parse_answer(text)

    def retry_message(self, reason: str) -> str:
        """Say why the last answer could not be used."""
        return self.prompt.retry_message(reason)


@dataclass(frozen=True, slots=True)
class Request:
    """A request about one motion.

    Attributes:
        key: 32 hexadecimal digits of everything that the answer depends on: model, prompt, payload, settings.
        motion_id: of the motion; not part of the key, so that equal motions are asked for once.
        prompt_version: fingerprint of the prompt.
        body: of the chat completion, as JSON values.
    """

    key: str
    motion_id: str
    prompt_version: str
    body: dict[str, Any]

    @property
    def characters(self) -> int:
        """Length of all that the model reads but the schema."""
        return sum(len(message["content"]) for message in self.body["messages"])


def make_request(motion_id: str, fields: Mapping[str, str], asked: Asked) -> Request:
    """Make the request for one motion: the static part first, so that providers can cache it.

    Args:
        motion_id: of the motion.
        fields: texts for the placeholders of the prompt's motion part, all of them (`load_prompt` has seen to
            it that there are no others).
        asked: what all requests of the run share.
    """
    messages = [
        {"role": "system", "content": asked.prompt.system},
        {"role": "user", "content": asked.prompt.motion_message(fields)},
    ]
    body = {
        "model": asked.model,
        "messages": messages,
        "response_format": RESPONSE_FORMAT,
        MOST_TOKENS: asked.output_tokens,
        **asked.options,
    }
    return keyed(motion_id, asked.prompt.fingerprint, body)


def with_messages(request: Request, more: Sequence[Message], *, output_share: float = 1.0) -> Request:
    """Continue a request's conversation.

    Args:
        request: to go on from.
        more: messages that follow.
        output_share: how much longer the answer may be.
    """
    most = int(request.body[MOST_TOKENS] * output_share)
    body = request.body | {
        "messages": [*request.body["messages"], *more],
        MOST_TOKENS: most,
    }
    return keyed(request.motion_id, request.prompt_version, body)


def sent_body(body: Mapping[str, Any], refused: Container[str]) -> dict[str, Any]:
    """Give a request's body as an endpoint takes it.

    Args:
        body: of the request.
        refused: names of values that the endpoint does not take. Older servers know the most tokens of an
            answer by another name.
    """
    sent = {name: value for name, value in body.items() if name not in refused}
    if MOST_TOKENS in refused and MOST_TOKENS_BEFORE not in refused:
        sent[MOST_TOKENS_BEFORE] = body[MOST_TOKENS]
    return sent


def keyed(motion_id: str, prompt_version: str, body: dict[str, Any]) -> Request:
    """Give a body as a request, with the key of everything in it."""
    text = json.dumps([prompt_version, body], sort_keys=True, ensure_ascii=False)
    key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Request(key, motion_id, prompt_version, body)
