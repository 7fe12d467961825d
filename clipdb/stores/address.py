"""An address in an object store, with what opens it; as text it is the address alone, so no secret is ever printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from clipdb.errors import ClipdbError

Scheme = Literal["s3", "gs", "az"]

_ADDRESS = re.compile(r"(s3|s3a|s3n|gs|gcs|az)://([^/]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_SCHEMES: dict[str, Scheme] = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs", "az": "az"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_PREFIX = re.compile(r"(aws|google|azure_storage|azure)_", re.IGNORECASE)
_ALIASES = {"endpoint_url": "endpoint", "default_region": "region", "account": "account_name", "key": "account_key"}
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?P<path>/[a-z0-9]+)?/?")

OPTIONS: dict[Scheme, tuple[str, ...]] = {
    "s3": (
        "access_key_id",
        "secret_access_key",
        "session_token",
        "region",
        "endpoint",
        "skip_signature",
        "virtual_hosted_style_request",
    ),
    "gs": ("endpoint", "skip_signature"),
    "az": ("account_name", "account_key", "sas_token", "client_id", "client_secret", "tenant_id", "endpoint"),
}
"""What a store of each kind can be told."""

ENDPOINTS: dict[Scheme, str] = {
    "s3": "https://HOST or http://HOST:PORT",
    "gs": "https://HOST or http://HOST:PORT",
    "az": "https://ACCOUNT.blob.HOST or http://HOST:PORT/ACCOUNT",
}
"""How a person writes where such a store is."""

SECRETS = ("access_key_id", "secret_access_key", "session_token", "account_key", "sas_token", "client_secret")
"""Those of them that no message may show."""


class StoreAddress(str):
    """The address of a folder or an object in a store.

    Parameters
    ----------
    url
        ``s3://BUCKET/PREFIX``, ``gs://...`` or ``az://CONTAINER/...``.
    options
        What opens it, by the names in `OPTIONS`, which may begin with ``aws_``, ``google_`` or ``azure_storage_``, in
        any case. What isn't said here comes from the environment.

    Attributes
    ----------
    scheme, bucket, key
        Its parts; ``key`` has no slash at its end.
    options
        By the names in `OPTIONS`.

    Raises
    ------
    ClipdbError
        If it is no such address, or an option isn't one of this kind of store's.
    """

    scheme: Scheme
    bucket: str
    key: str
    options: dict[str, str]

    def __new__(cls, url: str, options: Mapping[str, str] | None = None) -> StoreAddress:
        """Take an address apart."""
        match = _ADDRESS.fullmatch(url)
        if match is None:
            raise ClipdbError(f"{url} is no address in a store: write s3://BUCKET/PREFIX, gs://... or az://...")
        scheme, bucket, key = _SCHEMES[match[1].lower()], match[2], (match[3] or "").strip("/")
        if {"@", ":"} & set(bucket):
            # None of it is shown: a secret may have slashes, and nobody knows where it ends.
            raise ClipdbError(
                "credentials don't belong into an address, which is printed and stored: write "
                f"{scheme}://BUCKET/PREFIX, and give them in the environment or with --storage-option"
            )
        if not _BUCKET.fullmatch(bucket):
            raise ClipdbError(f"{url} names no bucket: write {scheme}://BUCKET/PREFIX")
        # Always in one spelling: Lance knows no other, and a place has one name.
        made = super().__new__(cls, f"{scheme}://{bucket}/{key}".rstrip("/"))
        made.scheme, made.bucket, made.key = scheme, bucket, key
        made.options = _known(scheme, options or {})
        return made

    def below(self, *names: str) -> StoreAddress:
        """Return the address of something in this folder, opened by the same."""
        return self.beside(f"{self.scheme}://{'/'.join((self.path, *names))}")

    def beside(self, url: str) -> StoreAddress:
        """Return another address, opened by the same."""
        other = StoreAddress(url)
        if other.scheme == self.scheme:
            other.options = self.options
        return other

    @property
    def path(self) -> str:
        """Bucket and key, as pyarrow's file systems take them."""
        return f"{self.bucket}/{self.key}".rstrip("/")


def is_store(place: object) -> bool:
    """Distinguish an address in a store from a path, and from other URLs."""
    return isinstance(place, str) and _ADDRESS.fullmatch(place) is not None


def with_options(place: str | Path, options: Mapping[str, str] | None = None) -> str | Path:
    """Return a place, as a `StoreAddress` where it is in a store.

    Raises
    ------
    ClipdbError
        If options were given for anything else, or aren't such a store's.
    """
    if isinstance(place, StoreAddress) and not options:
        return place
    if is_store(place):
        url, mark, _ = cast(str, place).partition("?")
        if mark:  # where DuckDB would take a secret
            raise ClipdbError(f"{url}: what follows the ? isn't read: give it with --storage-option KEY=VALUE")
        return StoreAddress(url, options)
    if options:
        raise ClipdbError(f"{place} is in no store, so it takes no storage options: leave them out")
    return place


def parse_options(given: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` as a person writes them.

    Raises
    ------
    ClipdbError
        If one has another form. The message doesn't show it.
    """
    found = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not (name.strip() and mark and value.strip()):
            raise ClipdbError("--storage-option takes KEY=VALUE, as in --storage-option region=eu-west-1")
        found[name.strip()] = value.strip()
    return found


def _known(scheme: Scheme, options: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in options.items():
        known = _PREFIX.sub("", name.lower())
        known = _ALIASES.get(known, known)
        if known not in OPTIONS[scheme]:
            # A name that is unknown may be a secret that was put in the wrong place.
            raise ClipdbError(f"a storage option isn't one of {scheme}://, which are {', '.join(OPTIONS[scheme])}")
        found[known] = str(value)
    require_endpoint(scheme, found.get("endpoint"))
    return found


def require_endpoint(scheme: Scheme, endpoint: str | None) -> None:
    """Check the address of a server.

    Raises
    ------
    ClipdbError
        If it isn't one.
    """
    match = _ENDPOINT.fullmatch(endpoint) if endpoint is not None else None
    if endpoint is not None and (match is None or (match["path"] and scheme != "az")):
        raise ClipdbError(f"the endpoint of the store isn't an address: write it as {ENDPOINTS[scheme]}")
