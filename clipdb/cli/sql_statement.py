"""`clipdb query SQL`: SQL of one's own, or a stranger's in a process of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from clipdb._util.text import counted
from clipdb.api.opening import open as open_index
from clipdb.cli.options.common import files_option, output_options, readable_option, untrusted_option
from clipdb.cli.options.model_options import weights_option
from clipdb.cli.show.form import Output
from clipdb.cli.show.messages import say
from clipdb.errors import ClipdbError
from clipdb.queries.resolve import is_file

_SHORT_ID = re.compile(r"'[0-9a-f]{12}'")


class Sql(click.Command):
    """A command without a name of its own."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Parse the options; advice after a mistake names the group, whose help is this command's, too."""
        try:
            return super().make_context(*args, **more)
        except click.NoSuchOption as error:
            if error.option_name in ("--plot", "--sheet"):
                drawn = f"{error.option_name} belongs to named queries: rows of SQL aren't drawn"
                raise click.UsageError(drawn, more.get("parent")) from error
            error.ctx = more.get("parent")
            raise

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how it is called: its place in the group is the SQL itself."""
        assert ctx.parent is not None
        formatter.write_usage(ctx.parent.command_path, "[OPTIONS] SQL")


@click.command("SQL", cls=Sql, short_help="Run SQL.")
@click.argument("sql")
@readable_option
@output_options
@files_option
@untrusted_option
@click.option("--model", metavar="MODEL", help="The model that image_vectors and text_vectors stand for.")
@weights_option
def sql_statement(
    sql: str,
    index: Path | str,
    output: Output,
    files: bool,
    untrusted: bool,
    model: str | None,
    checkpoint: Path | None,
) -> None:
    """Run SQL on the index, opened for reading; `-` reads it from stdin."""
    from clipdb.cli.show.output import write_result
    from clipdb.queries.file_access import files_as_allowed

    if sql == "-":
        sql = sys.stdin.read()
    if Path(sql).suffix == ".sql" and is_file(sql):
        raise ClipdbError(f"{sql} is a file: `clipdb query - < {sql}` runs what is in it")
    if not sql.strip():
        raise ClipdbError('the SQL is empty: try `clipdb query "select * from heads limit 5"`')
    if sql.lower() == "explain":
        raise ClipdbError("explain is a command of its own: see `clipdb explain --help`")
    if untrusted:
        if files or checkpoint is not None:
            raise ClipdbError("--untrusted reads no files and runs no models: leave --files and --checkpoint out")
        _ask_untrusted(sql, index, output, model)
        return
    with open_index(index, model=model, checkpoint=checkpoint) as opened, files_as_allowed(opened, sql, files):
        rows = write_result(opened.execute(sql), output)
    short = _SHORT_ID.search(sql)
    if short and not rows:
        advice = f"compare with starts_with(image_id, {short[0]})"
        say(f"note: an id has 64 letters, of which tables show the first 12: {advice}", err=True)


def _ask_untrusted(sql: str, index: Path | str, output: Output, model: str | None) -> None:
    from clipdb.cli.show.output import write_rows
    from clipdb.sandbox import Sandbox
    from clipdb.sandbox.limits import BYTES, ROWS

    with Sandbox(index, model, spare=False) as sandbox:
        answer = sandbox.ask(sql)
    write_rows(answer.names, answer.rows, output, None, [kind == "JSON" for kind in answer.types])
    if answer.cut:
        most = f"{ROWS:,} rows and {BYTES // 1_000_000} MB"
        say(f"note: cut after {counted(len(answer.rows), 'row')}: untrusted SQL gets {most} at most", err=True)
    elif not answer.rows and output.format == "table":
        say("No rows.", err=True)
