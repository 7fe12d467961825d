from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from tool_scripts import tool

import clipdb
from clipdb import __version__
from clipdb.cli import VERBS, main
from clipdb.queries.named.sql_files import query_names

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    return tool("generate_docs")


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, click.Context(below, info_name=name, parent=context))


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_and_option_has_help(verb: str) -> None:
    context = click.Context(main, info_name="clipdb", **main.context_settings)
    command = main.get_command(context, verb)
    assert command is not None
    for path, each in commands(command, click.Context(command, info_name=verb, parent=context)):
        assert each.help, path
        for option in each.params:
            assert not isinstance(option, click.Option) or option.help, f"{path} {option.name}"


@pytest.mark.parametrize("page", ["cli.md", "python.md", "queries.md", "schema.md", "sql.md"])
def test_the_pages_are_current(page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generator().PAGES[page](), "run: python tools/generate_docs.py"


def test_the_pages_name_everything() -> None:
    cli, queries = ((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("cli.md", "queries.md"))
    assert all(f"## `clipdb {verb}`" in cli for verb in VERBS)
    assert all(f"### `{name.replace('_', '-')}`" in queries for name in query_names())
    described = {name for names in generator().PUBLIC.values() for name in names}
    assert described == set(clipdb.__all__) - {"__version__", "schema"}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["qurey", "heads"], "No such command 'qurey': did you mean `clipdb query`?"),
        (["exprot"], "No such command 'exprot': did you mean `clipdb export`?"),
        (["heads"], "No such command 'heads': did you mean `clipdb query heads`?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (
            ["-i", "x.clipdb", "query", "heads"],
            "No such option -i: options follow the verb, as in `clipdb query heads -i INDEX`",
        ),
    ],
)
def test_a_mistyped_verb(words: list[str], problem: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and result.stderr.endswith(f"\nError: {problem}\n")


def test_clipdb_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "clipdb", "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"clipdb, version {__version__}\n"
