"""`clipdb export index`: copy an index into a store, from where it is read in place, or back to a disk."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import index_or_stored_option, storage_option
from clipdb.cli.show.messages import say
from clipdb.stores.address import StoreAddress


@click.command()
@click.argument("place", metavar="PLACE")
@storage_option
@index_or_stored_option
def index(index: Path | StoreAddress, place: str, storage_options: dict[str, str]) -> None:
    """Copy an index into an object store, or back to a disk.

    PLACE is s3://BUCKET/PREFIX, gs://... or az://...; `clipdb query heads -i PLACE` then asks it, from any machine.
    Readers find the copy when all of it is there. Run again, the command sends what is new: after an ingest the new
    vectors and the catalog, and after a failure what was missing. What was superseded stays for a day, for those who
    have it open. Run one copy to one place at a time.

    With -i ADDRESS, PLACE is a new directory on this machine: an index that can be written to. It is there when all of
    it is, and the same command goes on after a failure.
    """
    from clipdb.api.index_copies import export_index

    done = export_index(index, place, storage_options=storage_options)
    there = f", {counted(done.there, 'file')} there already" if done.there else ""
    deleted = f", {counted(done.deleted, 'file')} that nothing needs any more deleted" if done.deleted else ""
    verb = "fetched" if isinstance(index, StoreAddress) else "sent"
    say(f"{place}: {verb} {counted(done.files, 'file')}, {done.bytes / 2**20:,.1f} MiB{there}{deleted}")
