"""Why a store refused or failed, in one line that names the bucket and says what to do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.stores import connecting
from clipdb.stores.address import SECRETS, StoreAddress
from clipdb.stores.causes import CAUSES, NAMED, REFUSED
from clipdb.stores.connecting import file_system, is_anonymous, settings

_T = TypeVar("_T")

_MOST_REASON = 300

_OF_LANCE = re.compile(r"LanceError\(IO\)|Generic (S3|GCS|MicrosoftAzure) error|External error")

# What Lance says of a file that is missing or too short, which is no failure of the store.
_DAMAGED = re.compile(r"LanceError.*?(?P<reason>Not found: [^\s,]+|Invalid range [^,\n]+)", re.DOTALL)

_SIGNATURE = re.compile(r"\bsig=[^&\s']+")

# A refusal without its reason.
_BARE = re.compile(rf"{REFUSED}|BAD_?REQUEST|\b(301|40[04])\b", re.IGNORECASE)


class StoreFailed(ClipdbError):
    """What a store failed with isn't about one object: it will fail with the next one, too."""


@contextmanager
def reaching(address: StoreAddress, doing: str = "reading") -> Iterator[None]:
    """Say in one line why a store that a block uses refused or failed; a missing object stays a FileNotFoundError.

    Raises
    ------
    ClipdbError
        Naming the bucket and what to do, without any secret.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise explained(address, error, doing) from None  # whose text may hold a session's token


def insisting(address: StoreAddress, read: Callable[[], _T]) -> _T:
    """Read something of a store, again after a while if it is overloaded or breaks off; not again if that takes long.

    Raises
    ------
    ClipdbError
        As `reaching` does.
    """
    began, attempt = time.monotonic(), 1
    while True:
        try:
            with reaching(address):
                return read()
        except StoreFailed as failure:
            spent = time.monotonic() - began
            if failure.kind != "busy" or attempt >= connecting.ATTEMPTS or spent >= connecting.REQUEST_SECONDS:
                raise
        time.sleep(2.0 ** (attempt - 2))
        attempt += 1


def explained(address: StoreAddress, error: BaseException, doing: str = "reading") -> ClipdbError:
    """Return why a store refused or failed."""
    text = str(error)
    if not NAMED.search(text) and _BARE.search(text):
        text = _asked(address) or text  # answers to HEAD have no body, which would name the reason
    for pattern, sentence, kind in CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            said = sentence.format(bucket=address.bucket, doing=doing, who=_who(address))
            refused = pattern == REFUSED  # which may be about this object alone
            return (ClipdbError if refused else StoreFailed)(f"{address}: {said}", kind=kind)
    if damaged := _DAMAGED.search(text):
        return ClipdbError(f"{address}: the vectors there are damaged ({damaged['reason']}): take a copy that is whole")
    reason = _without_secrets(address, first_line(error))[:_MOST_REASON]
    return ClipdbError(f"{address}: the store of bucket {address.bucket} fails ({reason}): check the address")


def is_of_lance(error: BaseException) -> bool:
    """Return whether an error says why Lance can't read a table in a store."""
    return not isinstance(error, ClipdbError) and _OF_LANCE.search(str(error)) is not None


def require_bucket(address: StoreAddress) -> None:
    """Tell a bucket that isn't there, or refuses, from an object that isn't: both are 404 to most requests.

    Raises
    ------
    ClipdbError
        If it can't be listed.
    """
    with reaching(address, "listing"):
        _list(address)


def _without_secrets(address: StoreAddress, text: str) -> str:
    """Leave what opens a store out of a text, also a token's signature, where its parts come in another order."""
    found = settings(address)
    for name in found.keys() & set(SECRETS):
        text = text.replace(found[name], "...")
    return _SIGNATURE.sub("sig=...", text)


def _asked(address: StoreAddress) -> str:
    """Ask for a list, whose refusal has its reason in it; empty where there is none."""
    try:
        _list(address)
    except (OSError, ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _list(address: StoreAddress) -> None:
    from pyarrow.fs import FileSelector, FileType

    files = file_system(address)
    if files.get_file_info(FileSelector(address.path, allow_not_found=True)):
        return
    kind = FileType.Unknown
    with suppress(OSError):  # who may list a bucket need not be told about the bucket itself
        kind = files.get_file_info(address.bucket).type
    if kind == FileType.NotFound:
        raise OSError("NoSuchBucket")


def _who(address: StoreAddress) -> str:
    """Say where the credentials came from that were refused, and what to change."""
    found = settings(address)
    if is_anonymous(found):
        return "it was asked without credentials, and isn't public: leave skip_signature out"
    if address.scheme == "az":
        return "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
    if address.scheme == "gs":
        return "set GOOGLE_APPLICATION_CREDENTIALS to the file of an account that may"
    if "access_key_id" in found or _has_profile():
        return "use credentials that have s3:ListBucket and s3:GetObject there, and s3:PutObject to write"
    return (
        "there are no credentials in the environment or in ~/.aws: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "add --storage-option skip_signature=true for a public bucket"
    )


def _has_profile() -> bool:
    role = ("AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    files = (Path("~/.aws", name).expanduser() for name in ("credentials", "config"))
    return any(os.environ.get(name) for name in role) or any(file.is_file() for file in files)
