from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from clipdb.cli import VERBS, main
from clipdb.queries.named import query_names

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.mark.parametrize("page", ["cli.md", "queries.md", "schema.md"])
def test_the_pages_are_current(page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generator().PAGES[page](), "run: python tools/generate_docs.py"


def test_the_pages_name_everything() -> None:
    cli, queries = ((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("cli.md", "queries.md"))
    assert all(f"## `clipdb {verb}`" in cli for verb in VERBS)
    assert all(f"### `{name.replace('_', '-')}`" in queries for name in query_names())
