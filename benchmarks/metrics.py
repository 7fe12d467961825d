"""All metrics over six models, warm, against the same counts as loops over rows in Python.

    python benchmarks/metrics.py

The index is synthetic, in the shape of the six models of arXiv 2409.06579: the last four layers of four ViT-B and two
ViT-L, 320 heads with 60 spans each, named by three labellers; three judges judged the first five spans of every name.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from statistics import median

from measure import alternate, report, seconds

import clipdb
from clipdb.queries.named.sql_files import find_query
from clipdb.schema import catalog, creation

HEADS = (12, 12, 12, 12, 16, 16)  # a layer, of each model
LABELLERS = ("llm:a", "import:b", "vote")
JUDGES = ("llm:a", "llm:c", "vote")
EVERY = ("scoreboard", "ccs")  # every metric once: of each source of names by each judge, and of each head
AGAIN = ("entanglement", "association")  # of current names, as in the scoreboard's rows


def build(path: Path) -> None:
    """Write an index of names and verdicts."""
    creation.create(path)
    with catalog.changing(path) as connection:
        run = connection.execute
        run(
            "insert into head_statistics by name select format('ViT-{}/synthetic', m) as model_id, l as layer, "
            "h as head from range(?) models(m), range(4) layers(l), range(16) heads(h) "
            "where h < ?[m + 1]",
            [len(HEADS), list(HEADS)],
        )
        run(
            "insert into spans by name select model_id, layer, head, 'general' as pool, r as rank, "
            "sha256(format('text {}', hash(model_id, layer, head, r) % 3000)) as text_id, 'text' as text, "
            "0.1 as variance_explained, 0.1 as cumulative_variance, '1' as run from heads, range(1, 61) ranks(r)"
        )
        now = datetime.datetime.now(datetime.UTC)
        for labeller in LABELLERS:
            run(
                "insert into labels by name select model_id, layer, head, 'general' as pool, $who as labeller, "
                "'2' as run, format('property {}', hash(model_id, layer, head, $who) % 60) as property, "
                "'ok' as status, $now as created_at from heads",
                {"who": labeller, "now": now},
            )
        for judge in JUDGES:
            run(
                "insert or ignore into judgements by name select model_id, layer, head, text_id, property, "
                "$who as judge, '3' as run, hash(text_id, property, head, $who) % 10 < 6 as verdict, 'ok' as status "
                "from spans join labels using (model_id, layer, head) where rank <= 5",
                {"who": judge},
            )


def ask(db: clipdb.Index, name: str) -> list[tuple]:
    """Ask a named query as the command line does."""
    query = find_query(name)
    return db.execute(query.sql, db.bind(query, {})).fetchall()


def in_loops(db: clipdb.Index) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Entanglement and association of each labeller's names by each judge: no latest, no majority, no interval."""
    verdicts = {
        (model, layer, head, text, name.lower(), judge): verdict
        for model, layer, head, text, name, judge, verdict in db.execute(
            "select model_id, layer, head, text_id, property, judge, verdict from judgements where status = 'ok'"
        ).fetchall()
    }
    spans: dict[tuple, list[str]] = defaultdict(list)
    for model, layer, head, text in db.execute(
        "select model_id, layer, head, text_id from spans where rank <= 5"
    ).fetchall():
        spans[model, layer, head].append(text)
    named: dict[tuple[str, str], list[tuple]] = defaultdict(list)
    for model, layer, head, labeller, name in db.execute(
        "select model_id, layer, head, labeller, property from labels where status = 'ok'"
    ).fetchall():
        named[model, labeller].append((layer, head, name.lower()))
    found = {}
    for (model, labeller), heads in named.items():
        carriers = Counter(name for *_, name in heads)
        shared = sum(carriers[name] > 1 for *_, name in heads) / len(heads)
        for judge in JUDGES:
            fits = judged = 0
            for layer, head, name in heads:
                said = [verdicts.get((model, layer, head, text, name, judge)) for text in spans[model, layer, head]]
                judged += len(said) - said.count(None) >= 3
                fits += said.count(True) >= 3
            found[model, labeller, judge] = shared, fits / judged
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clipdb-") as folder:
        path = Path(folder) / "metrics.clipdb"
        build(path)
        with clipdb.open(path) as db:
            compare(db, options.repeats)


def compare(db: clipdb.Index, repeats: int) -> None:
    plain = in_loops(db)
    board = db.query.scoreboard()
    rows = [dict(zip(board.columns, row, strict=True)) for row in board.fetchall()]
    ours = {(row["model_id"], row["labeller"], row["judge"]): (row["entanglement"], row["association"]) for row in rows}
    if any(max(abs(a - b) for a, b in zip(ours[key], pair, strict=True)) > 1e-12 for key, pair in plain.items()):
        raise SystemExit("the scoreboard and the loops don't agree")
    timing = alternate(lambda: in_loops(db), lambda: [ask(db, name) for name in EVERY], repeats)
    loops, sql = (median(times) * 1e3 for times in (timing.baseline, timing.candidate))
    detail = f"{' and '.join(EVERY)}; {loops:.0f} ms for loops that count a part of them"
    report(f"all metrics of six models, {4 * sum(HEADS)} heads: ms", sql, most=100, detail=detail)
    report("all metrics of six models: time over loops in Python", timing.ratio, detail=f"pairs {timing.spread} times")
    for name in EVERY + AGAIN:
        times = sorted(seconds(partial(ask, db, name)) for _ in range(repeats))
        detail = f"from {times[0] * 1e3:.0f} to {times[-1] * 1e3:.0f}"
        report(f"`clipdb query {name}` of six models, warm: ms", median(times) * 1e3, detail=detail)


if __name__ == "__main__":
    main()
