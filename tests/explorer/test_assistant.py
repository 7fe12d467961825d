"""`clipdb mcp`: the real process, asked by the SDK's own client as an assistant asks."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult
from PIL import Image

import clipdb
from clipdb.queries.named.sql_files import find_query, query_names


def asking(index: Path, ask: Callable[[Client], Awaitable[None]], *options: str) -> None:
    """Start the server, and ask it."""
    arguments = ["-m", "clipdb", "mcp", "-i", str(index), "--device", "cpu", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))

    async def run() -> None:
        with anyio.fail_after(180):
            async with Client(server) as client:
                await ask(client)

    anyio.run(run)


def said(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    return dict(json.loads(result.content[0].text))


def test_an_assistant_finds_and_asks(shown_index: Path, tmp_path: Path) -> None:
    (tmp_path / "loud.sql").write_text("-- Loud heads\n--\n-- $least number = 0.5: At least.\n\nselect $least as least")
    with clipdb.open(shown_index) as index:
        heads = index.query.heads().fetchall()
        near = index.query.activating(head="L3.H0").project("image_id").fetchall()
        [images] = index.sql("select count(*) from images").fetchone()

    async def ask(client: Client) -> None:
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert set(tools) == {*query_names([tmp_path]), "picture", "sql"}
        for name in query_names([tmp_path]):
            query, schema = find_query(name, [tmp_path]), tools[name].input_schema
            assert query.title in tools[name].description and tools[name].annotations.read_only_hint
            for parameter in query.parameters:
                described = schema["properties"][parameter.name]["description"]
                assert "a file," not in described and (described == parameter.help or parameter.type == "image")
        assert tools["activating"].input_schema["required"] == ["head"]
        listed = said(await client.call_tool("heads", {}))
        assert [row[0] for row in listed["rows"]] == [row[0] for row in heads] and not listed["more"]
        assert listed["command"] == f"clipdb query heads -i {shown_index}"
        few = said(await client.call_tool("heads", {"limit": 2, "offset": 1}))
        assert few["rows"] == listed["rows"][1:3] and few["more"]
        assert said(await client.call_tool("loud", {"least": 0.25}))["rows"] == [[0.25]]
        moved = await client.call_tool("activating", {"head": "L3.H0", "pictures": 3})
        place = said(moved)["columns"].index("image_id")
        assert [row[place] for row in said(moved)["rows"]] == [image for (image,) in near]
        assert len(moved.content) == 4
        for one in moved.content[1:]:
            picture = Image.open(BytesIO(base64.b64decode(one.data)))
            assert one.mime_type == "image/webp" and picture.format == "WEBP" and max(picture.size) == 256
        one = await client.call_tool("picture", {"image_id": said(moved)["rows"][0][place]})
        assert one.content[1].data == moved.content[1].data
        counted = said(await client.call_tool("sql", {"sql": "select count(*) as n from images"}))
        assert counted == {"columns": ["n"], "rows": [[images]], "more": False}
        new = said(await client.call_tool("text_heads", {"text": "words that the index lacks"}))
        assert len(new["rows"]) == len(heads)  # the model ran, in a process of its own

    asking(shown_index, ask, "--queries", str(tmp_path))


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("smell", {}, "no query is called 'smell'"),
    ("head", {}, "head needs --head"),
    ("head", {"head": "L9.H9"}, "no head L9.H9"),
    ("head", {"head": ["L1.H0"]}, "head takes one value"),
    ("heads", {"colour": "red"}, "heads has no parameter 'colour'"),
    ("heads", {"limit": -1}, "limit takes a whole number from 0 to 10000"),
    ("heads", {"limit": True}, "limit takes a whole number"),
    ("heads", {"pictures": 3}, "heads has no parameter 'pictures'"),
    ("activating", {"head": "L1.H0", "pictures": 25}, "pictures takes a whole number from 0 to 24"),
    ("neighbours", {"head": "L1.H0", "image": "/etc/passwd"}, "no image '/etc/passwd'"),
    ("picture", {"image_id": "/etc/passwd"}, "no picture of '/etc/passwd'"),
    ("picture", {}, "no picture of"),
    ("sql", {}, "SELECT"),
    ("sql", {"sql": "drop table heads"}, "SELECT"),
    ("sql", {"sql": "select * from read_csv('/etc/passwd')"}, ""),
]


def test_what_cannot_be_answered_is_said_and_the_server_goes_on(shown_index: Path) -> None:
    async def ask(client: Client) -> None:
        for name, arguments, detail in WRONG:
            result = await client.call_tool(name, arguments)
            [answer] = result.content
            assert result.is_error and detail in answer.text and "root:" not in answer.text, (name, arguments, answer)
            assert "\n" not in answer.text
        assert said(await client.call_tool("heads", {}))["rows"]

    asking(shown_index, ask)


def test_it_ends_with_its_assistant_and_imports_no_torch(shown_index: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "from clipdb.cli import main\n"
        f"main(['mcp', '-i', {str(shown_index)!r}])"
    )
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    hello["params"] |= {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}  # type: ignore[operator]
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "clipdb"
        _, problems = process.communicate(timeout=30)
        assert process.returncode == 0 and problems == "False\n"
    command = [sys.executable, "-m", "clipdb", "mcp", "-i", str(shown_index)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()


def test_without_the_extra_one_line_says_what_to_install(shown_index: Path) -> None:
    code = "import sys; sys.modules['mcp'] = None; from clipdb.__main__ import main; main()"
    command = [sys.executable, "-c", code, "mcp", "-i", str(shown_index)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and re.fullmatch(r'Error: mcp is not installed: .*\[mcp\]"\n', done.stderr)


@pytest.mark.parametrize("place", ["nowhere.clipdb", "/dev/null"])
def test_no_index_is_said(place: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clipdb", "mcp", "-i", place]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
