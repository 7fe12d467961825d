"""The command line: one module a verb, imported when the verb is used."""

from __future__ import annotations

import gc
import importlib
import keyword
import signal
from typing import Any

import click

from clipdb import __version__
from clipdb._util.interrupts import interrupt, stop_at_once
from clipdb._util.notes import show_on_stderr
from clipdb.cli.show.messages import Group, stop

# Verb -> its line in `clipdb --help`. Each is the attribute `command` of the module clipdb.cli.VERB, which for a
# keyword of Python ends in an underscore.
VERBS = {
    "demo": "Build an index from packaged scenes, offline, and show what it found.",
    "ingest": "Put images and texts into an index.",
    "align": "Let a CLIP model's texts reach a model without a text tower.",
    "span": "Find the descriptions that explain each head.",
    "index": "Index heads' vectors, for neighbours among millions of images.",
    "label": "Name the heads.",
    "judge": "Judge how well spans fit the names.",
    "review": "Decide on names of heads yourself, one at a time.",
    "query": "Ask: named queries, or SQL.",
    "shell": "Ask question after question, with the models kept in memory.",
    "serve": "Look at it all as pages in a browser.",
    "mcp": "Let an assistant ask, over the Model Context Protocol.",
    "explain": "Say which heads make an image and a text match.",
    "segment": "Show where in a picture heads find a text.",
    "segment-scores": "Compare where heads find classes with masks.",
    "ablate": "Run a model without heads, and see what it gets wrong.",
    "import": "Bring in artefacts, published spans and names.",
    "export": "Write the index as Parquet files that any tool reads.",
    "info": "Show what an index holds.",
    "models": "List the models that can be ingested.",
    "verify": "Check that catalog and vectors are whole and agree.",
    "upgrade": "Bring an index to this version's schema.",
}


class Verbs(Group):
    """The verbs; help lists them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs in the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a verb."""
        if name not in VERBS:
            return None
        module = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        command: click.Command = importlib.import_module(f"clipdb.cli.{module}").command
        gc.enable()
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return where options belong, to whom writes them before the verb."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            problem = (
                f"No such option {error.option_name}: options follow the verb, as in `clipdb query heads -i INDEX`"
            )
            raise click.UsageError(problem, ctx) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb, or the query, to whom mistypes one."""
        name = args[0]
        if name not in VERBS:
            from difflib import get_close_matches

            from clipdb.queries.named.sql_files import query_names

            near = get_close_matches(name, VERBS, n=1)
            if not near and name.replace("-", "_") in query_names():
                near = [f"query {name}"]
            ctx.fail(f"No such command {name!r}" + (f": did you mean `clipdb {near[0]}`?" if near else "."))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb, which Ctrl-C stops in the verb's own way; once it is done, nothing is left to stop."""
        if signal.getsignal(signal.SIGINT) is not stop_at_once:
            return super().invoke(ctx)
        signal.signal(signal.SIGINT, interrupt)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # again, while an error that it had led to was being told
            stop(ctx)
        finally:
            for number in (signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their lines."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def british(token: str) -> str:
    """Spell an option as clipdb does: ``--labeler`` and ``--license`` are taken, too."""
    return token.replace("labeler", "labeller").replace("license", "licence")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": british})
@click.version_option(__version__, "-V", "--version", prog_name="clipdb")
def main() -> None:
    """Index what the attention heads of CLIP models write into the embeddings, and ask about it in SQL.

    Start with `clipdb demo`, then `clipdb query --list`.
    """
    show_on_stderr()
