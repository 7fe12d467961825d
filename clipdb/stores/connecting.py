"""What pyarrow and Lance need to reach a store: one set of options for both, and a limit to how long each tries."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError
from clipdb.stores.address import Scheme, StoreAddress, require_endpoint
from clipdb.stores.azure import azure_files, require_one_credential

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

# A request that is not answered is given up after so many seconds, and begun so often: a minute or two altogether.
CONNECT_SECONDS, REQUEST_SECONDS, ATTEMPTS = 5, 30, 4

_ENVIRONMENT: dict[Scheme, dict[str, tuple[str, ...]]] = {
    "s3": {
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "session_token": ("AWS_SESSION_TOKEN",),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "skip_signature": ("AWS_SKIP_SIGNATURE",),
        "virtual_hosted_style_request": ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST",),
    },
    "gs": {
        "endpoint": ("CLOUD_STORAGE_EMULATOR_ENDPOINT", "STORAGE_EMULATOR_HOST"),
        "skip_signature": ("GOOGLE_SKIP_SIGNATURE",),
    },
    "az": {
        "account_name": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
        "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
        "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
        "endpoint": ("AZURE_STORAGE_ENDPOINT",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
        "tenant_id": ("AZURE_TENANT_ID",),
    },
}
_CREDENTIALS = ("access_key_id", "secret_access_key", "session_token")
_LANCE = {
    "s3": "aws_{}",
    "gs": "google_{}",
    "az": "azure_storage_{}",
}
_LANCE_OTHERWISE = {
    "azure_storage_client_id": "azure_client_id",
    "azure_storage_client_secret": "azure_client_secret",
    "azure_storage_tenant_id": "azure_tenant_id",
    "google_endpoint": "google_base_url",
}


def settings(address: StoreAddress) -> dict[str, str]:
    """Return the options of a store: those that were given, and from the environment what was not.

    Credentials are taken from one place as a whole, so that no session's token goes with another's key.

    Raises
    ------
    ClipdbError
        If the environment names an endpoint that is none, or has a token that Lance would send with a key of another's.
    """
    given = address.options
    skipped = _CREDENTIALS if {*_CREDENTIALS, "skip_signature"} & given.keys() else ()
    there = {
        name: next((os.environ[one] for one in variables if os.environ.get(one)), "")
        for name, variables in _ENVIRONMENT[address.scheme].items()
        if name not in skipped
    }
    found = {name: value for name, value in there.items() if value} | given
    if "access_key_id" in given and "session_token" not in given and os.environ.get("AWS_SESSION_TOKEN"):
        raise ClipdbError(
            f"{address}: a key was given, and AWS_SESSION_TOKEN in the environment belongs to another: unset that, or "
            "give the key's own token as session_token"
        )
    require_endpoint(address.scheme, found.get("endpoint"))
    if address.scheme == "az":
        require_one_credential(address, found)
    return {name: value.rstrip("/") if name == "endpoint" else value for name, value in found.items()}


def file_system(address: StoreAddress) -> FileSystem:
    """Return pyarrow's file system of a store; its paths are `StoreAddress.path`.

    Raises
    ------
    ClipdbError
        If an option is missing without which there is none.
    """
    found = settings(address)
    if address.scheme == "az" and "account_name" not in found:
        raise ClipdbError(
            f"{address}: no account of bucket {address.bucket} is named: set AZURE_STORAGE_ACCOUNT_NAME, or add "
            "--storage-option account_name=NAME"
        )
    if address.scheme == "s3" and not {"region", "endpoint"} & found.keys():
        found |= {"region": region} if (region := _region(address.bucket)) else {}
    return _opened(address.scheme, tuple(found.items()))


def lance_options(place: Path | str, writes: bool = False) -> dict[str, str] | None:
    """Return what Lance needs to open a table in a store; None on a disk.

    Parameters
    ----------
    place
        The table, or the folder of tables.
    writes
        Whether it is opened for writing: nobody above asks again then, as `clipdb.stores.failures.insisting` does.
    """
    if not isinstance(place, StoreAddress):
        return None
    found = settings(place)
    usual = {_LANCE[place.scheme].format(name): value for name, value in found.items()}
    return {_LANCE_OTHERWISE.get(name, name): value for name, value in usual.items()} | {
        "allow_http": str(found.get("endpoint", "").startswith("http:")).lower(),
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{REQUEST_SECONDS}s",
        # Lance asks four times itself, and each number here would multiply that: a server that hangs, for hours. But
        # with 0 it gives a write up that is answered with an error or not at all.
        "client_max_retries": "1" if writes else "0",
    }


def is_anonymous(found: dict[str, str]) -> bool:
    """Return whether requests go out without a signature."""
    return found.get("skip_signature", "").lower() in ("true", "1", "yes")


@cache
def _opened(scheme: str, found: tuple[tuple[str, str], ...]) -> FileSystem:
    from pyarrow import fs

    options = dict(found)
    protocol, _, host = options.pop("endpoint", "").rpartition("://")
    if scheme == "az":
        return azure_files(options, protocol, host)
    if scheme == "gs":
        return fs.GcsFileSystem(
            anonymous=is_anonymous(options),
            scheme=protocol or None,
            endpoint_override=host or None,
            retry_time_limit=timedelta(seconds=2 * REQUEST_SECONDS),
        )
    return fs.S3FileSystem(
        access_key=options.get("access_key_id"),
        secret_key=options.get("secret_access_key"),
        session_token=options.get("session_token"),
        anonymous=is_anonymous(options),
        region=options.get("region"),
        scheme=protocol or "https",
        endpoint_override=host or None,
        force_virtual_addressing=options.get("virtual_hosted_style_request", "").lower() == "true",
        allow_delayed_open=True,  # a small object is one request then
        background_writes=False,  # pyarrow 26 crashes where one fails
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


@cache
def _region(bucket: str) -> str | None:
    """Ask AWS where a bucket is; None where it doesn't say, and the request that follows tells why."""
    from pyarrow import fs

    try:
        return str(fs.resolve_s3_region(bucket))
    except OSError:
        return None
