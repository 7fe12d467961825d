"""`clipdb shell`: question after question, with the models kept in memory."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from clipdb._util.interrupts import settled
from clipdb._util.text import plain
from clipdb.cli.options.common import readable_option
from clipdb.cli.query import STARTS_SQL, WORD
from clipdb.cli.show.messages import leave, with_index
from clipdb.queries.named.sql_files import query_names

VERBS = ("query", "explain", "segment", "info", "models")
PROMPT = "clipdb> "
HELP = f"""One question per line:
  heads                                       a named query, with its options; `query --list` lists them
  select name, property from head_properties  SQL, up to the end of the line
  explain photo.jpg "a dog"                   what follows `clipdb`: {", ".join(VERBS)}
  help NAME                                   the options of a query or a verb
  quit                                        or Ctrl-D
Ctrl-C stops a question."""


@click.command()
@readable_option
@click.pass_context
def command(ctx: click.Context, index: Path | str) -> None:
    """Ask one question after the other; models stay in memory between them.

    A line is what would follow `clipdb`, for the verbs query, explain, segment, info and models; or the name of a named
    query and its options; or SQL up to the end of the line. `help` and `quit` do what they say. Ctrl-C stops the
    question, not the shell. The index is opened anew for each question, so commands that write to it can go on.

    Without a terminal, lines come from stdin, and the exit code is that of the last line that failed.
    """
    from clipdb.api.opening import keep_models

    keep_models()
    terminal = sys.stdin.isatty()
    failure = 0
    for line in _typed() if terminal else sys.stdin:
        words = line.strip()
        if words in ("quit", "exit"):
            break
        if words and not words.startswith("#"):
            failure = _answer(ctx, index, words) or failure
            if failure == 130 and not terminal:
                break
    leave(ctx, 0 if terminal else failure)


def _answer(ctx: click.Context, index: Path | str, line: str) -> int:
    """Answer one line; return its exit code."""
    if line == "help":
        click.echo(HELP)
        return 0
    from clipdb.cli import main

    try:
        # Options that a line gives are forgotten with it.
        with main.make_context("clipdb", _arguments(line), parent=with_index(ctx.command, index)) as question:
            main.invoke(question)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        settled()
        click.echo("Stopped.", err=True)
        return 130
    except Exception as error:
        click.echo(f"Error: {type(error).__name__}: {plain(str(error))}", err=True)
        return 1
    return 0


def _arguments(line: str) -> list[str]:
    """Read a line as the arguments of `clipdb`.

    Raises
    ------
    click.UsageError
        If a quotation doesn't end, or the first word is a verb that the shell doesn't have.
    """
    first = line.split()[0]
    if first not in (*VERBS, "help") and (first.lower() in STARTS_SQL or not WORD.fullmatch(first)):
        return ["query", line]
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise click.UsageError(f"{error}: close it, or escape it with a backslash") from error
    if words[0] == "help":
        words = [*words[1:], "--help"]
    if words[0] in VERBS:
        return words
    from clipdb.cli import VERBS as ALL

    if words[0] in ALL and words[0].replace("-", "_") not in query_names():
        raise click.UsageError(f"the shell only reads: run `clipdb {line}` outside of it")
    if words[0].replace("-", "_") not in query_names():
        from difflib import get_close_matches

        # A query of nearly that name is suggested where queries are looked up.
        names = [name.replace("_", "-") for name in query_names()]
        near = get_close_matches(words[0], [*VERBS, *names], n=1, cutoff=0.75)
        if near and near[0] in VERBS:
            raise click.UsageError(f"nothing is called {words[0]!r}: did you mean {near[0]}?")
    return ["query", *words]


def _typed() -> Iterator[str]:
    """Read lines with editing and a history that outlives the shell."""
    history = Path(click.get_app_dir("clipdb")) / "shell_history"
    with suppress(ImportError):
        import readline

        with suppress(OSError):
            readline.read_history_file(history)
    try:
        while True:
            try:
                yield input(PROMPT)
            except KeyboardInterrupt:
                settled()
                click.echo()
            except EOFError:
                click.echo()
                return
    finally:
        with suppress(ImportError, OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)
