"""What strangers may ask is answered as the index answers its owner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import clipdb
from clipdb._util.json_values import as_json
from clipdb.queries.index import Index
from clipdb.sandbox import Sandbox

FEATURES = [
    "select count(*), min(layer), avg(head), stddev(head), median(head), mode(layer) from heads",
    "select layer, count(*) as heads from heads group by layer having count(*) > 1 order by layer",
    "select layer, head, row_number() over (partition by layer order by head desc) as place from heads order by all",
    "select head, lag(head) over w, sum(head) over w from heads window w as (order by layer, head) order by all",
    "select layer, head from heads qualify rank() over (partition by layer order by head) = 1 order by all",
    "select name, property, text from heads join head_properties using (model_id, layer, head, name) "
    "join spans using (model_id, layer, head) order by all",
    "from heads left join labels using (model_id, layer, head) order by all",
    "from heads semi join labels using (model_id, layer, head) order by all",
    "from heads anti join labels using (model_id, layer, head) order by all",
    "select a.name, b.name from heads a asof join heads b on a.layer = b.layer and a.head >= b.head order by all",
    "with named as (from head_properties), few as (from named limit 3) select count(*) from few",
    "with heads as (from heads where layer = 1) select count(*) from heads",
    "with a as materialized (select 1 as n) select (with b as (select n + 1 as n from a) select n from b) from a",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 10) select sum(n) from r",
    "with recursive r(n, m) using key (n) as (select 1, 1 union select n, m + 1 from r where m < 5) from r",
    "select exists (from spans), 1 in (select layer from heads), (select max(layer) from heads)",
    "select layer from heads union select head from heads except select 2 order by all",
    "from (select 1 as a union by name select 2 as b) order by all",
    "select distinct on (layer) layer, head from heads order by layer, head limit 5 offset 1",
    "select layer from heads order by layer limit 50%",
    "select layer, head, count(*) from heads group by grouping sets ((layer), (head)) order by all",
    "select layer, head, count(*) from heads group by rollup (layer, head) order by all",
    "values (1, 'a'), (2, 'b')",
    "select * exclude (basis, mean) replace (layer + 1 as layer) from heads order by all",
    "select columns('layer|head') from heads order by all",
    "describe heads",
    "summarize select layer, head from heads",
    "from heads pivot (count(*) for layer in (1, 2) group by model_id)",
    "pivot (select model_id, layer from heads) on layer in (1, 2) using count(*)",
    "unpivot (select 1 as a, 2 as b) on a, b order by all",
    "select list(name order by name), string_agg(name, ', ' order by name), histogram(layer) from heads",
    "select [x * 2 for x in [1, 2, 3] if x > 1], list_transform([1, 2], lambda x: x + 1), list_sort([3, 1])[1:2]",
    "select {'a': 1, 'b': [2]}.b[1], struct_pack(a := 1), map {'a': 1}['a'], unnest([1, 2]) order by all",
    "select unnest([{'a': 1}, {'a': 2}], recursive := true) order by all",
    "select (metadata->>'n')::int as n, metadata->'n' as j from images order by n",
    "select key, value from images, json_each(metadata) order by all limit 3",
    'select path, value from json_tree(\'{"a": [1, {"b": null}]}\') order by all',
    "select json_object('a', 1), to_json([1]), json_extract('[1, 2]', '$[1]'), json_array_length('[1]')",
    "select regexp_extract('L3.H1', '(\\d+)', 1), regexp_replace('aab', 'a+', 'x'), 'abc' like 'a%', 'ABC' ilike 'a%'",
    "select upper('é'), length('grün'), left('abc', 2), split_part('a/b', '/', 2), format('L{}.H{}', 1, 2), md5('a')",
    "select date '2026-01-31' + interval 1 month, date_diff('day', date '2026-01-01', date '2026-02-01'), "
    "strftime(timestamp '2026-01-01 12:00:00', '%H'), date_trunc('month', date '2026-01-31')",
    "select 1.5, 1e300, 'nan'::double, 'inf'::float, 10::hugeint * 10, '\\xAA'::blob, '101'::bit, true, null, "
    "interval 90 minutes, time '12:00:00', timestamptz '2026-01-01 00:00:00+00', '{\"a\": 1}'::json",
    "select range(3), generate_series(1, 3)",
    "select sum(range) from range(1000)",
    "from generate_series(date '2026-01-01', date '2026-01-03', interval 1 day)",
    "from entanglement(level := 0.9) order by all",
    "from scoreboard(top_n := 3) order by all",
    "from entanglement order by all",
    "from heads tablesample 100 percent order by all",
    "select image_id, embedding from image_vectors order by image_id limit 2",
    "select text, l1h0 from text_vectors join texts using (text_id) order by text",
    'select image_id, l2h1 from vectors."one/a".images order by image_id limit 2',
    'select count(*) from vectors."one/a".texts',
    "select a.image_id, array_cosine_similarity(a.l1h0, b.l1h0) as score from image_vectors a, "
    "(from image_vectors order by image_id limit 1) b order by score desc nulls last, a.image_id limit 5",
    "from neighbours(null, 'L1.H0', (select min(image_id) from images), k := 5)",
    "from neighbours('one/a', 'L2.H1', (select left(min(image_id), 12) from images), 3, 'centred')",
    "from embedding_neighbours(null, (select min(image_id) from images), 5)",
    "from contributions(null, (select min(image_id) from images), 'two apples')",
    "from text_heads(null, 'a grey wall')",
    "from text_neighbours(null, 'L1.H0', 'two apples', 4)",
    "from text_texts(null, 'L1.H0', 'two apples', 2)",
    "from image_texts(null, 'L2.H0', (select min(image_id) from images), 2)",
    "from activating(null, 'L2.H0', text := 'two apples', k := 3)",
    "from outliers(null, 'L2.H0', 3)",
    "from alike(null)",
    "from property_neighbours(null, (select min(image_id) from images), 'colour')",
    "select name, near.image_id, near.score from heads, (from images order by image_id limit 2) as asked, "
    "lateral neighbours(heads.model_id, heads.name, asked.image_id, k := 1) as near where layer = 2 order by all",
    "select " + "(" * 5000 + "1" + ")" * 5000,
    "select 'FROM read_text(''/etc/passwd'')' as read_text -- from pandas_scan(null)",
    "select 'spent' as spent, 'names' as names, 'error' as error",
    "select name as getenv from heads order by 1 /* ; */ ;",
]


@pytest.fixture(scope="session")
def owner(place: Path) -> Iterator[Index]:
    with clipdb.open(place) as opened:
        yield opened


def test_there_are_many() -> None:
    assert len(set(FEATURES)) >= 60


@pytest.mark.parametrize("sql", FEATURES)
def test_it_is_answered(sandbox: Sandbox, owner: Index, sql: str) -> None:
    result = owner.execute(sql)
    names = [column[0] for column in result.description or ()]
    types = [str(column[1]) for column in result.description or ()]
    answer = sandbox.ask(sql)
    assert (answer.names, answer.types, answer.cut) == (names, types, False)
    assert answer.rows and answer.rows == [tuple(row) for row in json.loads(json.dumps(as_json(result.fetchall())))]


def test_what_duckdb_says_is_passed_on(sandbox: Sandbox) -> None:
    for sql, said in (
        ("select nothing from heads", 'Binder Error: Referenced column "nothing" not found in FROM clause!'),
        ("selec 1", 'the SQL can\'t be read: syntax error at or near "selec"'),
        ("select 'a'::int", "Conversion Error: Could not convert string 'a' to INT32"),
        ("from neighbours(null, 'L9.H0', 'a')", "one/a has no vectors of head L9.H0: its layers here are 1, 2"),
        ("from neighbours(null, 'L1.H0', 'a', k := 0)", "k is 0: ask for at least 1 neighbour"),
    ):
        with pytest.raises(clipdb.ClipdbError) as error:
            sandbox.ask(sql)
        assert str(error.value).startswith(said)
