"""Run clipdb in a process of its own to its end, forked where torch and open_clip are imported already."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from forking import FORKED

HUB = ("huggingface_hub.constants",)
"""What reads the Hub's settings as it is imported, and has them for all others."""


def forked(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    first: Path | None = None,
    anew: Collection[str] = (),
    reloaded: Collection[str] = (),
    code: str | None = None,
    seconds: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run `clipdb ARGUMENTS`, or code, as `subprocess.run` would with its output captured and nothing to read.

    Parameters
    ----------
    environment
        All of its environment. Default: this process's.
    folder
        Where it runs. Default: here.
    first
        A folder that it looks for modules in before all others.
    anew
        Packages that it imports anew, since they see the environment as they are imported.
    reloaded
        Modules that it reads once more, for the same reason: whoever has imported them sees what they say now.
    code
        What is run in place of the command.
    """
    command = [str(one) for one in arguments]
    with tempfile.TemporaryDirectory() as logs:
        place = str(folder or Path.cwd())
        given = (
            command,
            dict(environment or os.environ),
            place,
            first and str(first),
            tuple(anew),
            tuple(reloaded),
            code,
            logs,
        )
        process = FORKED.Process(target=_run, args=given)
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
        out, errors = (Path(logs, name).read_text(encoding="utf-8") for name in ("out", "errors"))
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, out, errors)


def _run(
    command: list[str],
    environment: dict[str, str],
    folder: str,
    first: str | None,
    anew: Collection[str],
    reloaded: Collection[str],
    code: str | None,
    logs: str,
) -> None:
    for number, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(Path(logs, name), os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if first is not None:
        sys.path.insert(0, first)
    for name in [name for name in sys.modules if name.partition(".")[0] in anew]:
        del sys.modules[name]
    for name in reloaded:
        importlib.reload(importlib.import_module(name))
    sys.argv = ["clipdb", *command]
    if code is not None:
        exec(code, {"__name__": "__main__"})
        return
    from clipdb.__main__ import main

    main()
