"""What the endpoint demands of a chat request: the rules of strict structured output included."""

from __future__ import annotations

from typing import Any

from faults import Reply, bad_request

ROLES = {"system", "developer", "user", "assistant", "tool"}


def check_body(body: Any, fields: int | None, refused: list[str]) -> Reply | None:
    """Find what the API would refuse in a chat request; None if nothing.

    `fields` is how many properties the schema must have (None: no schema is needed), `refused` are parameters
    that the model does not take.
    """
    if not isinstance(body, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        return bad_request("you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return bad_request(
            "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
        )
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES or "content" not in message:
            where = f"messages[{number}]"
            return bad_request(f"Invalid value for '{where}'.", where, "invalid_value")
    if body.get("stream"):
        return bad_request("This endpoint does not stream.", "stream", "unsupported_value")
    for name in refused:
        if name in body:
            return _unsupported(name, body[name])
    return None if fields is None else _check_form(body.get("response_format"), fields)


def _unsupported(name: str, value: Any) -> Reply:
    if name == "max_tokens":
        text = "Unsupported parameter: 'max_tokens' is not supported with this model. "
        return bad_request(text + "Use 'max_completion_tokens' instead.", name, "unsupported_parameter")
    if name in {"temperature", "top_p"}:
        text = f"Unsupported value: '{name}' does not support {value} with this model. "
        return bad_request(text + "Only the default (1) value is supported.", name, "unsupported_value")
    return bad_request(f"Unrecognized request argument supplied: {name}", name, "unknown_parameter")


def _check_form(form: Any, fields: int) -> Reply | None:
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return bad_request("Missing required parameter: 'response_format'.", "response_format")
    inner = form.get("json_schema")
    if not isinstance(inner, dict) or not inner.get("name") or inner.get("strict") is not True:
        return bad_request("'name' and 'strict': true are needed.", "response_format.json_schema")
    schema = inner.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return bad_request("schema must be of type 'object'.", "response_format.json_schema.schema")
    properties = schema.get("properties") or {}
    said = None
    if schema.get("additionalProperties") is not False:
        said = "'additionalProperties' is required to be supplied and to be false."
    elif sorted(schema.get("required") or []) != sorted(properties):
        said = "'required' is required to be supplied and to be an array including every key in properties."
    elif any(not isinstance(one, dict) or one.get("type") != "string" for one in properties.values()):
        said = "every property is to be of type 'string'."
    elif len(properties) != fields:
        said = f"{len(properties)} properties, the test expects {fields}."
    if said is None:
        return None
    name = inner["name"]
    return bad_request(f"Invalid schema for response_format '{name}': {said}", "response_format")
