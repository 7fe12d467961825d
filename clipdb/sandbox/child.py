"""What runs in a sandbox's process: it opens an index, locks itself in, and answers one question after another.

It reads lines of JSON: first what to open, then a question each. It writes lines of JSON: whether the index is open,
then of each answer names and types, the rows, and how it ended. It imports little before the environment is set.
"""

from __future__ import annotations

import json
import os
import sys

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LANCE_CPU_THREADS": "1"}  # threads take memory


def main() -> None:
    """Open what the first line says, then answer until nobody asks any more, or a question leaves doubts."""
    os.environ.update(_ENVIRONMENT)
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no answer
        from clipdb._util.pandas_unseen import leave_pandas_unseen
        from clipdb.errors import ClipdbError
        from clipdb.sandbox.locked_index import LockedIndex

        leave_pandas_unseen()
        try:
            index = LockedIndex(**json.loads(sys.stdin.readline()))
        except ClipdbError as error:
            print(json.dumps({"error": str(error)}), file=answers)
            return
        print(json.dumps({"error": None}), file=answers, flush=True)
        for question in sys.stdin:
            answers.writelines(f"{line}\n" for line in index.answer(json.loads(question)))
            answers.flush()
            if index.spent:
                return
