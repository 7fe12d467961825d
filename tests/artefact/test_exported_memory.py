"""How much address space a row of an export takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from built_index import Built
from written_artefact import write_built

ASK = """
import re, resource, sys
from pathlib import Path
import clipdb

with clipdb.open(sys.argv[1]) as opened:
    opened.sql("select 1 from image_vectors limit 1").fetchall()
    [(image, text)] = opened.sql("select image_id, text from images, texts order by all limit 1").fetchall()
    size = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + 192 * 2**20,) * 2)
    print(len(opened.rows("contributions", image=image, text=text)))
"""


def test_a_row_is_read_where_address_space_is_short(built: Built, tmp_path: Path) -> None:
    export = write_built(tmp_path / "export", built)
    asked = subprocess.run([sys.executable, "-c", ASK, str(export)], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stdout) == (0, "7\n"), asked.stderr
