"""What ships is the wheel: outside the clone it runs the demo, the README's Python and every command's help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command where clipdb is the wheel, with the dependencies of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    place = folder / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(place)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import clipdb; print(clipdb.__file__)").strip() == str(place / "clipdb" / "__init__.py")
    return run


def test_the_demo_and_the_readme(run: Run) -> None:
    assert "100 scenes indexed" in run("-m", "clipdb", "demo", "--scenes", "100")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [python] = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    run("-c", python)


def test_every_command_has_help(run: Run) -> None:
    from clipdb.cli import main

    def verbs(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        context = click.Context(group)
        found = []
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            found.append((*path, name))
            if isinstance(command, click.Group):
                found += verbs(command, (*path, name))
        return found

    listed = verbs(main)
    assert len(listed) > 40
    code = (
        "import sys; from click.testing import CliRunner; from clipdb.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    result = CliRunner().invoke(main, [*line.split(), '--help'])\n"
        "    assert result.exit_code == 0 and 'Usage:' in result.output, line"
    )
    run("-c", code, *(" ".join(path) for path in listed))
