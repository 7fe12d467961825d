"""A language model is asked about other heads' names, too: what is asked, once, and what it counts for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_server import HostileServer, asking, serving
from judge_answers import NAMES, give_names, judged
from span_index import HEADS, MODEL, span_index
from support import change, done, refused, rows

import clipdb
from clipdb.errors import ClipdbError

pytestmark = pytest.mark.usefixtures("key")

KEYS = {"colour", "animals", "season"}
UNTOUCHED = ("source_ccs", "ccs", "head_verdicts", "ratings", "agreement", "krippendorff", "rank_agreement", "reviews")
