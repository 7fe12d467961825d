"""`clipdb query`: named queries, each a command made from its file's header, and SQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from clipdb.api.opening import open as open_index
from clipdb.cli.options.common import (
    PICTURE,
    files_option,
    output_options,
    queries_option,
    readable_option,
    require_matplotlib,
    untrusted_option,
)
from clipdb.cli.options.model_options import weights_option
from clipdb.cli.show.form import Output
from clipdb.cli.show.messages import Group, say
from clipdb.cli.sql_statement import sql_statement
from clipdb.errors import ClipdbError
from clipdb.pictures.charts import charted
from clipdb.queries.named.parameters import Parameter
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names
from clipdb.queries.needs import reads_vectors

WORD = re.compile(r"[\w-]+")
STARTS_SQL = {
    "select", "from", "with", "values", "table", "show", "describe", "desc", "explain", "summarize", "pragma", "pivot",
    "unpivot", "copy", "attach", "call", "set",
}  # fmt: skip


class Questions(Group):
    """Named queries as commands; an argument that is no word is SQL."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the queries."""
        return [name.replace("_", "-") for name in query_names(ctx.params.get("queries", ()))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Make a command from a query's header.

        Raises
        ------
        ClipdbError
            If no query has the name, or its header is malformed.
        """
        return _named(find_query(name, ctx.params.get("queries", ())))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Distinguish SQL from a query's name."""
        first = args[0]
        if WORD.fullmatch(first) and first != "-" and first.lower() not in STARTS_SQL:
            command = self.get_command(ctx, first)
            return command.name if command is not None else None, command, args[1:]
        return "SQL", sql_statement, args


@click.group(cls=Questions, invoke_without_command=True, subcommand_metavar="[NAME [VALUE] | SQL | -] [OPTIONS]...")
@readable_option
@output_options
@files_option
@untrusted_option
@queries_option(is_eager=True)
@click.option("--list", "listing", is_flag=True, help="List the named queries.")
@click.pass_context
def command(
    ctx: click.Context,
    index: Path | str,
    output: Output,
    files: bool,
    untrusted: bool,
    queries: tuple[Path, ...],
    listing: bool,
) -> None:
    """Ask an index, or an export of one, by the name of a query or in SQL.

    A word is a query's name (`clipdb query heads`, `clipdb query heads --help`); its first parameter may follow without
    its option (`clipdb query property colour`). Anything else is SQL, which DuckDB runs on the index opened for reading
    (`clipdb query "select * from heads"`); `-` reads the SQL from stdin. SQL has no row limit of its own, and
    reaches no other files and no network unless --files is given. SQL that somebody else wrote is for --untrusted.

    What a query finds can be drawn where that makes sense: `--sheet FILE.png` writes its images with their scores,
    `--plot FILE.png` a chart; `clipdb query NAME --help` says which of them it has.

    Options may stand before the name or after it, --queries only before.
    """
    if listing or ctx.invoked_subcommand is None:
        from clipdb.cli.show.output import write_rows

        found = [find_query(name, queries) for name in query_names(queries)]
        write_rows(("query", "answers"), [(usage(query, short=True), query.title) for query in found], output)
        ctx.exit()
    if untrusted and ctx.invoked_subcommand != sql_statement.name:
        raise ClipdbError("--untrusted is for SQL, and this is the name of a query, which is trusted")


def _named(query: NamedQuery) -> click.Command:
    def ask(index: Path | str, output: Output, files: bool = True, first: str | None = None, **given: Any) -> None:
        from clipdb.cli.show.output import write_result, write_rows
        from clipdb.queries.file_access import files_as_allowed

        if first is not None:
            name = query.parameters[0].name
            if given[name] is not None:
                raise click.UsageError(f"{query.parameters[0].option} is given twice: {given[name]!r} and {first!r}")
            given[name] = first
        for parameter in query.parameters:
            if parameter.required and parameter.type != "model" and given[parameter.name] is None:
                raise click.UsageError(f"{query.command} needs {parameter.option}: {parameter.help}")
        plot: Path | None = given.pop("plot", None)
        sheet: Path | None = given.pop("sheet", None)
        cells = {name: given.pop(f"sheet_{name}") for name in ("size", "columns") if f"sheet_{name}" in given}
        checkpoint: Path | None = given.pop("checkpoint", None)
        if plot is not None and query.command not in charted():
            raise click.UsageError(f"{query.command} has no chart: {', '.join(charted())} have one")
        if sheet is not None and query.sheet is None:
            raise click.UsageError(f"{query.command} lists no images, so there is nothing to show on a sheet")
        with open_index(index, checkpoint=checkpoint) as opened, files_as_allowed(opened, query.sql, files):
            bound = opened.bind(query, given)
            if sheet is not None:
                from clipdb.pictures.query_sheet import draw_sheet

                if note := draw_sheet(opened, query, bound, sheet, **cells):
                    say(f"note: {note}", err=True)
            result = opened.execute(*query.statement(bound))
            if plot is not None:
                from clipdb.pictures.charts import make_chart, save_chart

                names, rows = [column[0] for column in result.description or ()], result.fetchall()
                save_chart(make_chart(query.command, [dict(zip(names, row, strict=True)) for row in rows], bound), plot)
                write_rows(names, rows, output, query.intervals)
            else:
                write_result(result, output, query)
            if query.note is not None:
                for (note,) in opened.execute(query.note, query.values_of_note(bound)).fetchall():
                    say(f"note: {note}", err=True)

    options: list[click.Parameter] = [
        click.Option(
            [parameter.option, parameter.name],
            metavar=parameter.metavar,
            help=_help(parameter),
        )
        for parameter in query.parameters
    ]
    options.append(_plot_option(shown=query.command in charted()))
    options += _sheet_options(shown=query.sheet is not None)
    if query.parameters:
        main = query.parameters[0]
        options.insert(0, click.Argument(["first"], required=False, metavar=f"[{main.name.upper()}]"))
    made = click.Command(
        query.command,
        callback=ask,
        params=options,
        help=f"{query.title}.\n\n{query.description}".strip(),
        short_help=query.title,
    )
    # The shared options are decorators of functions; a command that is made, not written, takes theirs over.
    given = weights_option(ask) if reads_vectors(query.sql) else ask
    shared = click.command()(readable_option(output_options(given if query.ships else files_option(given))))
    made.callback = shared.callback
    made.params += [option for option in shared.params if option.name not in {one.name for one in options}]
    return made


def _plot_option(shown: bool) -> click.Option:
    """Make ``--plot``; queries without a chart take it only to say which have one."""
    help = "Draw the rows as a chart, .png or .jpg."
    check = require_matplotlib if shown else None
    return click.Option(["--plot"], type=PICTURE, metavar="FILE.png", callback=check, help=help, hidden=not shown)


def _sheet_options(shown: bool) -> list[click.Parameter]:
    """Make ``--sheet`` and how it looks; queries that list no images take it only to say so."""
    help = "Draw the images with their scores as a contact sheet, .png or .jpg."
    sheet = click.Option(["--sheet"], type=PICTURE, metavar="FILE.png", help=help, hidden=not shown)
    if not shown:
        return [sheet]
    size = click.Option(
        ["--sheet-size"], type=click.IntRange(48, 512), default=160, show_default=True, help="Side of its pictures."
    )
    columns = click.Option(
        ["--sheet-columns"], type=click.IntRange(1, 20), default=5, show_default=True, help="Pictures side by side."
    )
    return [sheet, size, columns]


def _help(parameter: Parameter) -> str:
    if parameter.default is not None:
        return f"{parameter.help} [default: {parameter.default}]"
    return f"{parameter.help} [required]" if parameter.required and parameter.type != "model" else parameter.help


def usage(query: NamedQuery, short: bool = False) -> str:
    """Write how a query is called: ``property PROPERTY [--model MODEL]``; short, without what may be left out."""
    words = [query.command]
    for place, parameter in enumerate(query.parameters):
        text = parameter.name.upper() if place == 0 else f"{parameter.option} {parameter.metavar}"
        needed = parameter.required and parameter.type != "model"
        if needed or not short:
            words.append(text if needed else f"[{text}]")
    return " ".join(words)
