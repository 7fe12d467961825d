"""A group whose default command takes a path, and which knows a mistyped command from one."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import click
from click_default_group import DefaultGroup

from clipdb.errors import ClipdbError


class PathGroup(DefaultGroup):
    """A group in which a word that is no command is a path, unless it is nearly a command and there is no such path."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse what looks like a mistyped command."""
        word = args[0]
        if word not in self.commands and not word.startswith("-") and not Path(word).exists():
            for near in get_close_matches(word, self.commands, n=1, cutoff=0.8):
                raise ClipdbError(f"{ctx.info_name} has no command {word!r}: write {near}, or ./{word} for a path")
        found: tuple[str | None, click.Command | None, list[str]] = super().resolve_command(ctx, args)
        return found
