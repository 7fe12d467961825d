"""DuckDB's extension that reads URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import duckdb

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.schema.duckdb_files import CONFIG
from clipdb.schema.names import MANIFEST
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import ATTEMPTS, REQUEST_SECONDS, is_anonymous, settings

_EXTENSION = "httpfs"
_READABLE = re.compile(r"(https?|hf|s3|s3a|s3n|gs|gcs|r2)://", re.IGNORECASE)
# A dataset's page, of the whole or of a folder: its files are elsewhere.
_WEB_PAGE = re.compile(r"https?://[^/]+/(datasets/[^/]+/[^/]+)(?:/(?:tree|blob)/[^/]+)?((?!/resolve/)/.*)?")


def better_address(url: str) -> str | None:
    """Guess what the address of a manifest, or of a dataset's page on a hub, was to be; None where it is neither."""
    folder = url.removesuffix(f"/{MANIFEST}")
    if page := _WEB_PAGE.fullmatch(folder):
        folder = f"hf://{page[1]}{page[2] or ''}"
    return None if folder == url else folder


def has_secret(address: StoreAddress) -> bool:
    """Return whether DuckDB keeps a secret of its own for an address, and nothing else says what opens that."""
    if {"access_key_id", "skip_signature"} & settings(address).keys():
        return False
    if not any(Path("~/.duckdb/stored_secrets").expanduser().glob("*.duckdb_secret")):
        return False
    with duckdb.connect(config=CONFIG) as connection:
        load_httpfs(connection, address)
        kind = {"gs": "gcs"}.get(address.scheme, address.scheme)
        return bool(connection.execute("from which_secret(?, ?)", [str(address), kind]).fetchall())


def use_options(connection: duckdb.DuckDBPyConnection, address: StoreAddress) -> None:
    """Let DuckDB use what opens a store in S3's language; it is kept in memory, for this connection's bucket alone."""
    found = settings(address)
    if address.scheme != "s3" or not found:
        return
    scheme, _, host = found.get("endpoint", "").rpartition("://")
    said = {
        "key_id": found.get("access_key_id"),
        "secret": found.get("secret_access_key"),
        "session_token": found.get("session_token"),
        "region": found.get("region", "us-east-1" if host else None),
        "endpoint": host or None,
        "url_style": "path" if host and "virtual_hosted_style_request" not in found else None,
    }
    if is_anonymous(found):
        said |= dict.fromkeys(("key_id", "secret", "session_token"))
    given = [f"{name} '{value}'" for name, value in _escaped(said).items()]
    given += [f"use_ssl {str(scheme == 'https').lower()}"] if host else []
    connection.execute(
        f"create or replace secret clipdb_store (type s3, scope 's3://{address.bucket}/', {', '.join(given)})"
    )


def _escaped(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.replace("'", "''") for name, value in values.items() if value}


def load_httpfs(connection: duckdb.DuckDBPyConnection, url: str) -> None:
    """Have a connection read URLs, and ask for a file's length and footer once.

    The extension is the one that DuckDB has installed, else that of the package ``duckdb-extension-httpfs`` if it is of
    this DuckDB's version, else DuckDB installs it from its own site: whoever names a URL wants the network. DuckDB
    checks its signature in each case.

    Raises
    ------
    ClipdbError
        If it can't be had, or DuckDB doesn't read such URLs.
    """
    if not _READABLE.match(url):
        raise ClipdbError(f"{url} can't be read: DuckDB reads https://, hf://, s3://, gs:// and r2://")
    try:
        _load(connection)
    except duckdb.Error as error:
        raise ClipdbError(
            f"{url} needs DuckDB's extension {_EXTENSION}, which is not here and can't be installed: run "
            f"`INSTALL {_EXTENSION}` in DuckDB {duckdb.__version__} where there is a network ({first_line(error)})",
            kind="missing",
        ) from error
    connection.execute(f"set http_timeout = {REQUEST_SECONDS}")
    connection.execute(f"set http_retries = {ATTEMPTS - 1}")
    # Without these DuckDB asks for them again for every query. What is there is not expected to change meanwhile.
    connection.execute("set global enable_http_metadata_cache = true")
    connection.execute("set global parquet_metadata_cache = true")


def _load(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute(f"load {_EXTENSION}")
    except duckdb.Error:
        if (packaged := _packaged()) is None:
            connection.execute(f"install {_EXTENSION}")
            connection.execute(f"load {_EXTENSION}")
        else:
            connection.execute("load '" + str(packaged).replace("'", "''") + "'")


def _packaged() -> Path | None:
    """Find the extension in the package, for exactly this DuckDB."""
    spec = find_spec(f"duckdb_extension_{_EXTENSION}")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, "extensions", f"v{duckdb.__version__}", f"{_EXTENSION}.duckdb_extension")
        if file.is_file():
            return file
    return None
