"""What to type where a part of clipdb is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clipdb._util.installing import pip_install


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (None, 'pip install "clipdb[ui]"'),
        (
            {"url": "file:///home/ada/my%20clone", "dir_info": {"editable": True}},
            'pip install -e "/home/ada/my clone[ui]"',
        ),
        ({"url": "file:///home/ada/clone", "dir_info": {}}, 'pip install "/home/ada/clone[ui]"'),
        (
            {"url": "file:///tmp/clipdb-1-py3-none-any.whl", "archive_info": {}},
            'pip install "clipdb[ui] @ file:///tmp/clipdb-1-py3-none-any.whl"',
        ),
    ],
)
def test_more_is_installed_from_where_this_came_from(
    source: object, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "clipdb-1.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: clipdb\nVersion: 1\n")
    if source is not None:
        (noted / "direct_url.json").write_text(json.dumps(source))
    monkeypatch.syspath_prepend(tmp_path)
    assert pip_install("ui") == command
