"""What a person is told on one line, and the group that turns failures into one line and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from clipdb._util.interrupts import settled
from clipdb._util.text import plain, without_login
from clipdb.cli.show.hints import runnable
from clipdb.errors import ClipdbError, Stopped

_LONGEST = 1000  # characters of a line of a message


class Group(click.Group):
    """A group whose commands fail with one line on stderr: exit 1, or 130 when stopped."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ClipdbError as error:
            raise click.ClickException(_message(error)) from error
        except KeyboardInterrupt as error:
            stop(ctx, str(error) if isinstance(error, Stopped) else "")
        except RuntimeError as error:  # which is how DuckDB passes Ctrl-C on
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            stop(ctx)
        except UnicodeEncodeError as error:  # a shell passes on bytes that are no text; paths may have them
            raise click.ClickException("an argument is not UTF-8 text: write it in UTF-8") from error
        except OSError as error:  # a directory that may not be entered, a name that is too long
            if not isinstance(error.filename, str):
                raise
            raise click.ClickException(plain(f"{error.filename} can't be used: {error.strerror}")) from error
        except Exception as error:
            duckdb = sys.modules.get("duckdb")
            if duckdb is None or not isinstance(error, duckdb.Error):
                raise
            raise click.ClickException(_message(error)) from error


def say(text: str, err: bool = False) -> None:
    """Print one line for a person; names in it may be anybody's."""
    click.echo(plain(without_login(runnable(text))), err=err)


def _message(error: Exception) -> str:
    """Write an error: clipdb's own on one line, DuckDB's on those that point at the place in the SQL."""
    text = str(error).strip()
    lines = [runnable(text)] if isinstance(error, ClipdbError) else text.split("\n")
    if "Stack Trace:" in lines:  # of an error inside DuckDB
        lines = lines[:1]
    return "\n".join(_shortened(plain(without_login(line))) for line in lines)


def _shortened(line: str) -> str:
    """Leave out the middle of what nobody would read: the beginning says what is wrong, the end what to do."""
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


def stop(ctx: click.Context, kept: str = "") -> NoReturn:
    """Say that Ctrl-C ended the command, with what is kept of its work, and end with 130."""
    settled()
    click.echo(f"Stopped: {kept}." if kept else "Stopped.", err=True)
    if ctx.meta.get("clipdb.shell"):
        ctx.exit(130)
    leave(ctx, 130)


def leave(ctx: click.Context, code: int) -> NoReturn:
    """End with an exit code, and at once where a model is still being loaded for a question that was stopped."""
    apart = sys.modules.get("clipdb._util.apart")
    if apart is not None and apart.busy():
        sys.stdout.flush()
        os._exit(code)  # an interpreter that shuts down while torch is imported may crash
    ctx.exit(code)


def with_index(command: click.Command, index: Path | str) -> click.Context:
    """Make a context for a line of the shell, whose commands have this index unless they are given another."""
    ctx = click.Context(command)
    ctx.meta.update({"clipdb.index": str(index), "clipdb.shell": True})
    return ctx
