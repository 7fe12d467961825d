"""What went wrong with a call, in a few words; and whether it is worth making another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import openai
import pydantic

from clipdb.errors import ClipdbError, Kind
from clipdb.ingest.names.llm.secrets import one_line

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from clipdb.ingest.names.llm.server import Server

_NO_SERVER = ("ConnectError", "ConnectTimeout")
_KEY_REFUSED = (401, 402, 403)
_NOT_THERE = 404
_KEEPS_TO_IT = "if most fail so, take a server and a model with structured output (JSON schema)"


class NoAnswer(Exception):
    """A completion that came whole and has no answer that can be used."""


def check_worth_going_on(error: Exception, server: Server, secrets: Sequence[str]) -> None:
    """Raise `ClipdbError` for an error that every further call would meet."""
    if isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ in _NO_SERVER:
        why = one_line(str(error.__cause__), secrets, 160)
        raise ClipdbError(
            f"no server at {server.where} ({why}): start it, or name another with --base-url", kind="absent"
        )
    if not isinstance(error, openai.APIStatusError):
        return
    kind: Kind = "invalid"
    if error.status_code == _NOT_THERE:
        kind = "absent"
        advice = f"name a model that it has with --llm-model (asked for {server.model}), and check --base-url"
    elif error.status_code in _KEY_REFUSED or error.code == "insufficient_quota":
        advice = f"set ${server.key_variable} to a key that it takes for {server.model}"
    else:
        return
    raise ClipdbError(
        f"{server.where} answers HTTP {error.status_code} ({one_line(_said(error), secrets, 160)}): {advice}", kind=kind
    )


def reason(error: Exception, server: Server) -> str:
    """Return why there is no answer. What a server says is in it, so secrets are still to be hidden."""
    match error:
        case openai.APITimeoutError():
            return f"no answer within {server.timeout:g} s"
        case openai.APIConnectionError():
            return f"the connection broke: {error.__cause__ or error}"
        case openai.APIStatusError():
            return f"HTTP {error.status_code}: {_said(error)}"
        case openai.LengthFinishReasonError():
            return f"the answer is longer than {server.max_tokens} tokens"
        case openai.ContentFilterFinishReasonError():
            return "the server's content filter withheld the answer"
        case pydantic.ValidationError():
            # A server that keeps to the schema sends none of these. They are cut for the advice to be seen after them.
            misfits = "; ".join(map(_misfit, error.errors()))
            return f"the answer doesn't hold: {misfits:.150}: {_KEEPS_TO_IT}"
        case openai.OpenAIError() | NoAnswer():
            return str(error)
        case json.JSONDecodeError():
            return "what the server sends is not JSON"
    return f"what the server sends is no chat completion ({type(error).__name__})"


def _misfit(error: ErrorDetails) -> str:
    """Return what of an answer doesn't hold: where, what stands there, and what should, which may be a long list."""
    given = [f"{error['input']!r:.60}"] if isinstance(error["input"], str | int | float) and error["loc"] else []
    return ": ".join([*map(str, error["loc"]), *given, error["msg"]])


def _said(error: openai.APIStatusError) -> str:
    """Return what a server says of an error, without the SDK's words around it if it says it as OpenAI's API does."""
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return said if isinstance(said, str) else error.message
