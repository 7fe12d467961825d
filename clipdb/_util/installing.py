"""The command that installs more of clipdb from where this one came from."""

from __future__ import annotations


def pip_install(extra: str) -> str:
    """Return the command that adds an extra, as ``clipdb`` may be another project's name in an index of packages.

    A clone is installed as it was, a wheel from its file or address (both in ``direct_url.json``, PEP 610).
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # which brings http and ssl

    try:
        told = distribution("clipdb").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    source = json.loads(told) if told else {}
    url = str(source.get("url", ""))
    if "dir_info" in source:
        editable = "-e " if source["dir_info"].get("editable") else ""
        return f'pip install {editable}"{url2pathname(urlsplit(url).path)}[{extra}]"'
    return f'pip install "clipdb[{extra}]{f" @ {url}" if url else ""}"'
