"""Options of the verbs that ask a language model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.server import Server

_F = TypeVar("_F", bound=Callable[..., Any])

_NAMES = ("llm_model", "base_url", "key_env", "seed", "temperature", "concurrency", "timeout", "retries", "dry_run")


class _Range(click.FloatRange):
    """A range of numbers without nan, which is on neither side of it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is not a number.", param, ctx)
        return number


_OPTIONS = (
    click.option("--llm-model", metavar="NAME", help="For llm: the model's name, as its server knows it."),
    click.option(
        "--base-url",
        metavar="URL",
        envvar="OPENAI_BASE_URL",
        help="For llm: an OpenAI-compatible server (Ollama, vLLM, llama.cpp) [default: $OPENAI_BASE_URL, then OpenAI].",
    ),
    click.option(
        "--key-env",
        default="OPENAI_API_KEY",
        show_default=True,
        metavar="NAME",
        help="For llm: environment variable with the key; a server of one's own may need none.",
    ),
    click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="For llm: its seed."),
    click.option(
        "--temperature",
        type=_Range(0, 2),
        default=0.0,
        show_default=True,
        help="For llm: its temperature; at 0 most answer the same each time, whatever the seed.",
    ),
    click.option(
        "--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="For llm: calls at once."
    ),
    click.option(
        "--timeout",
        type=_Range(0.1, 3600),
        default=60.0,
        show_default=True,
        help="For llm: seconds that a call may take.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 20),
        default=3,
        show_default=True,
        help="For llm: how often a failed call is tried again, with growing pauses.",
    ),
    click.option("--dry-run", is_flag=True, help="For llm: print the prompts and the number of calls; ask nothing."),
)


def llm_options(function: _F) -> _F:
    """Add the options of a language model to a command.

    The function takes ``server: Server | None`` (None where no ``--llm-model`` is given), ``concurrency: int`` and
    ``dry_run: bool``.
    """

    @functools.wraps(function)
    def with_server(
        *args: Any,
        llm_model: str | None,
        base_url: str | None,
        key_env: str,
        seed: int,
        temperature: float,
        timeout: float,
        retries: int,
        **kwargs: Any,
    ) -> Any:
        from clipdb.ingest.names.llm.server import Server

        server = Server(llm_model, base_url, key_env, seed, temperature, timeout, retries) if llm_model else None
        return function(*args, server=server, **kwargs)

    decorated: Any = with_server
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast(_F, decorated)


def need_server(server: Server | None, who: str) -> None:
    """Check that a model was named.

    Raises
    ------
    click.UsageError
        If none was, or what was given isn't a valid name.
    """
    if server is None:
        raise click.UsageError(f"{who} needs a model: add --llm-model NAME")
    if not server.model.strip() or not server.model.isprintable():
        raise click.UsageError(f"--llm-model {server.model!r} isn't a valid name: write it as the server does")


def refuse_llm_options(choice: str, *own: str) -> None:
    """Check that no option was typed that only a language model takes.

    Parameters
    ----------
    choice
        Option that chooses the language model, for the message.
    own
        Parameters of the command itself that only a language model takes.

    Raises
    ------
    click.UsageError
        If one was.
    """
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in (*_NAMES, *own) and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} is for a language model: add {choice}")
