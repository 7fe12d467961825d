"""Ask an OpenAI-compatible server questions whose answers have a schema: several at once, each answered or failed.

A failed call is a `Reply` with its reason. What no further call can mend stops everything with one line.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from clipdb._util.notes import note
from clipdb.errors import require
from clipdb.ingest.names.llm.secrets import login, one_line, read_key, secrets_of, tells
from clipdb.ingest.names.llm.server import Server

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")
_STOPS = {401, 402, 403, 404}


@dataclass(frozen=True)
class Question(Generic[T]):
    """A prompt and the form of its answer.

    Parameters
    ----------
    key
        What the caller knows the question by.
    messages
        ``(role, content)`` in order.
    answer
        Pydantic model of the answer; a server is asked for its JSON schema, and what it sends is checked against it.
    """

    key: T
    messages: tuple[tuple[str, str], ...]
    answer: type[pydantic.BaseModel]

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the messages and of the answer's JSON schema."""
        whole = json.dumps([self.messages, self.answer.model_json_schema()], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def tokens(self) -> int:
        """About how many tokens the prompt has: a fourth of its characters."""
        return sum(len(content) for _, content in self.messages) // 4


@dataclass(frozen=True)
class Reply(Generic[T]):
    """What came of a question: an answer that fits its model, or why there is none, in one line without secrets."""

    question: Question[T]
    answer: Any
    error: str | None


def ask(server: Server, questions: Iterable[Question[T]], concurrency: int) -> Generator[Reply[T]]:
    """Ask questions, several at once, and give replies as they come.

    Closing the iterator stops asking; calls under way are left to themselves.

    Parameters
    ----------
    concurrency
        Calls at once.

    Raises
    ------
    ClipdbError
        If there is no key, or for what no further call can mend: no server there, a key that it refuses, a model that
        it does not know.
    """
    with _Client(server) as client:
        pending = iter(questions)
        taking = threading.Lock()
        stopped = threading.Event()
        # Who takes replies may be busy storing them; asking doesn't run further ahead than this.
        room = threading.Semaphore(2 * concurrency)
        replies: queue.SimpleQueue[Reply[T] | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while room.acquire() and not stopped.is_set():
                    with taking:
                        question = next(pending, None)
                    if question is None:
                        break
                    replies.put(client.ask(question))
            except BaseException as error:
                replies.put(error)
            replies.put(None)

        # Daemons: unlike a pool's threads they don't keep a stopped process waiting for a server.
        for _ in range(concurrency):
            threading.Thread(target=work, daemon=True).start()
        working = concurrency
        try:
            while working:
                reply = replies.get()
                if isinstance(reply, Reply):
                    yield reply
                elif reply is not None:
                    raise reply
                working -= reply is None
                room.release()
        finally:
            stopped.set()
            room.release(concurrency)


class _Client:
    """The SDK's client with the settings that this server takes."""

    def __init__(self, server: Server) -> None:
        openai = require("openai", "llm")
        from clipdb.ingest.names.llm.transport import bounded_client

        key = read_key(server.key_variable, server.base_url)
        self._server = server
        self._secrets = secrets_of(key, server.base_url)
        self._settings: dict[str, Any] = {
            "seed": server.seed,
            "temperature": server.temperature,
            "max_tokens": server.max_tokens,
        }
        self._client = openai.OpenAI(
            api_key=key,
            base_url=server.shown_url or "https://api.openai.com/v1",
            timeout=server.timeout,
            max_retries=server.retries,
            http_client=bounded_client(server.timeout, login(server.base_url)),
        )

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(self, question: Question[T]) -> Reply[T]:
        """Ask one question; raise `ClipdbError` where no further call can do better."""
        from clipdb.ingest.names.llm.failed_calls import NoAnswer, check_worth_going_on, reason

        try:
            message = self._complete(question).choices[0].message
            answer = message.parsed
            if not isinstance(answer, question.answer):
                raise NoAnswer(f"the model refuses: {message.refusal}" if message.refusal else "the answer is empty")
            if tells(answer.model_dump_json(), self._secrets):
                raise NoAnswer("the answer repeats the key")
        except Exception as error:
            # The SDK doesn't check what a server sends: it fails by whatever the form of that runs into.
            check_worth_going_on(error, self._server, self._secrets)
            return Reply(question, None, one_line(reason(error, self._server), self._secrets))
        return Reply(question, answer, None)

    def _complete(self, question: Question[T]) -> Any:
        """Make one call; where the server refuses a setting by name, make it without, now and from now on."""
        from openai import BadRequestError, UnprocessableEntityError

        while True:
            sent = dict(self._settings)
            try:
                return self._client.chat.completions.parse(
                    model=self._server.model,
                    messages=[{"role": role, "content": content} for role, content in question.messages],
                    response_format=question.answer,
                    **sent,
                )
            except (BadRequestError, UnprocessableEntityError) as error:
                if not self._give_up_setting(sent, error.param or error.message):
                    raise

    def _give_up_setting(self, sent: dict[str, Any], said: str) -> bool:
        """Leave out the setting that a server names in refusing a call; the bound on length has a second name."""
        refused = next((name for name in ("seed", "temperature", "max_tokens") if name in sent and name in said), None)
        if refused is None:
            return False
        if self._settings.pop(refused, None) is not None:  # else another thread has met the same
            instead = ""
            if refused == "max_tokens":
                self._settings["max_completion_tokens"] = self._server.max_tokens
                instead = ", with max_completion_tokens in its place"
            note(f"note: {self._server.where} refuses {refused}: asking without it{instead}")
        return True
