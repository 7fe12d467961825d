"""What pyarrow needs to reach Azure Blob Storage."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError
from clipdb.stores.address import ENDPOINTS, StoreAddress

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def require_one_credential(address: StoreAddress, found: dict[str, str]) -> None:
    """Check what opens a store; drop the environment's token where a key was given.

    Raises
    ------
    ClipdbError
        If a key is none, which pyarrow aborts on; if there is a token, too; if there is neither for a server whose
        connections aren't encrypted, on which it aborts as well.
    """
    if key := found.get("account_key"):
        try:
            b64decode(key, validate=True)
        except ValueError:
            raise ClipdbError(
                f"{address}: the account_key is no key of Azure's, which are base64: copy it again"
            ) from None
        if "sas_token" in found and ("sas_token" in address.options or "account_key" not in address.options):
            # Lance would take the key, also where it is in the environment and the token was given.
            raise ClipdbError(
                f"{address}: there are an account_key and a sas_token: give one, and unset the other in the environment"
                " (AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN)"
            )
        found.pop("sas_token", None)
    elif "sas_token" not in found and found.get("endpoint", "").startswith("http:"):
        raise ClipdbError(f"{address}: an endpoint that is http:// takes an account_key or a sas_token: give one")


def azure_files(options: dict[str, str], protocol: str, host: str) -> FileSystem:
    """Return the file system of an account; a host, if one is named, has the account at its beginning or its end.

    Raises
    ------
    ClipdbError
        If it is another account's.
    """
    from pyarrow.fs import AzureFileSystem

    if token := options.get("sas_token"):
        options = options | {"sas_token": f"?{token.removeprefix('?')}"}  # pyarrow adds it to a URL as it is
    return AzureFileSystem(**options, **_servers(protocol, host, options["account_name"]))


def _servers(protocol: str, host: str, account: str) -> dict[str, str]:
    """Take the account out of an endpoint, to which pyarrow adds it."""
    if not host:
        return {}
    if host.endswith(f"/{account}"):
        blob = host.removesuffix(f"/{account}")
    elif host.startswith(f"{account}."):
        blob = host.removeprefix(account)
    else:
        raise ClipdbError(f"the endpoint isn't account {account}'s: write it as {ENDPOINTS['az']}")
    return {
        "blob_storage_scheme": protocol,
        "blob_storage_authority": blob,
        "dfs_storage_scheme": protocol,
        "dfs_storage_authority": blob.replace(".blob.", ".dfs."),
    }
