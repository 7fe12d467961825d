"""What an index holds, and what in it is older than what it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from clipdb.queries.index import Index
from clipdb.queries.vectors.property_indexes import fits, known_property_indexes
from clipdb.schema.names import head_name
from clipdb.schema.property_index import PROPERTY_HEADS
from clipdb.schema.vector_indexes import AT, VectorIndex
from clipdb.schema.vectors_place import remembered

# Run ids sort by time, so what was made from something newer than itself is found by comparing runs.
_HOLDINGS = """
with image_runs as (
    select model_id, newest, number from vector_rows where kind = 'images'
), span_runs as (
    select model_id, pool, max(run) as newest, bool_or(command is not distinct from 'import spans') as imported
    from spans left join runs using (run) group by model_id, pool
), first_spans as (
    from head_spans where rank = 1
), judges as (
    select distinct model_id, judge from judgements where status = 'ok'
), unjudged as (
    select model_id, judge, count(*) as names, min(first_spans.pool) as pool
    from judges join head_properties named using (model_id) join first_spans using (model_id, layer, head)
    where not exists (
        from judgements said
        where (said.model_id, said.layer, said.head, said.text_id, said.judge, normal_property(said.property))
            = (named.model_id, named.layer, named.head, first_spans.text_id, judges.judge, named.property_key)
    )
    group by model_id, judge
), for_chance as (
    select model_id, judge, count(distinct (layer, head, text_id, property)) as asked
    from chance_verdicts where status = 'ok' group by model_id, judge
), failures as (
    select count(*) as failed from image_failures
), holdings as (
    select 1 as place, null as model_id, 'images' as what, null as name, number,
        case when failed > 0 then failed || ' could not be read: see `clipdb query images-failed`' end as note
    from failures, (select count(*) as number from images)
    where number > 0 or failed > 0
    union all
    select 1.5, null, 'pairs', attribute, count(*), null from pairs group by attribute
    union all
    select 1.7, null, 'vectors', place, (select sum(number) from vector_rows), 'kept there, not in the index'
    from vectors_elsewhere
    union all
    select 2, null, 'pool', pool, count(*), null from pool_texts group by pool
    union all
    select 3, model_id, 'images', null, coalesce(number, 0), format('reconstruction error {:.1e}', reconstruction_error)
    from models left join (select * from vector_rows where kind = 'images') using (model_id)
    union all
    select 4, model_id, 'heads', null, count(*), concat_ws('; ',
        'layers ' || list_aggregate(list_transform(
            list(distinct layer order by layer), lambda one: if(one < 0, 'pool', one::text)), 'string_agg', ', '),
        case when count(size) < count(*) then count(*) - count(size) || ' without vectors' end, any_value(note))
    from heads left join (select model_id, note from cut_models) using (model_id) group by model_id
    union all
    select 4.2 + rowid / 1e6, model_id, 'vector index', name, number, note from vector_index_rows
    union all
    select 4.5, model_id, 'components', null, count(*), concat_ws('; ',
        'MLPs of layers ' || string_agg(if(layer < 0, 'pool', layer::text), ', ' order by layer) filter (head = -1),
        case when bool_or(head = -2) then 'stem and biases' end)
    from components group by model_id
    union all
    select 5, model_id, 'aligner', target, images, format('R^2 {:.2f} over images that were held out', r2) from aligners
    union all
    select 5, model_id, 'texts', null, number, null from vector_rows where kind = 'texts'
    union all
    select 6, model_id, 'spans', pool, count(*), concat_ws('; ',
        case when not any_value(imported) and max(run) < any_value(image_runs.newest)
            then 'older than the images: run `clipdb span --pool ' || pool || '`' end,
        -- Most of what people read of a head would be other texts over other images. `query settled` takes 100.
        case when avg(stability) < .5 then format('of the first five spans only {:.2f} are found over half of the '
            || 'images as well: take more images', avg(stability))
            || if(any_value(image_runs.number) >= 100, ', and see `clipdb query settled`', '') end)
    from spans left join image_runs using (model_id) left join span_runs using (model_id, pool) group by model_id, pool
    union all
    select 6.5, model_id, 'directions', source || ', ' || pool, count(*),
        case when source = 'principal' and max(run) < any_value(image_runs.newest)
            then 'older than the images: run `clipdb span --from principal --pool ' || pool || '`' end
    from directions left join image_runs using (model_id) group by model_id, source, pool
    union all
    select 7, model_id, 'labels', labeller, count(distinct (layer, head, pool)), concat_ws('; ',
        case when count(distinct run) > 1 then count(distinct run) || ' runs' end,
        case when starts_with(labeller, 'import:') then null  -- it stands on nothing here
            -- It needs no spans. An export doesn't say when its images came.
            when labeller in ('evidence', 'zero-shot')
                and coalesce(max(run) >= any_value(image_runs.newest), true) then null
            when labeller = 'evidence' then 'older than the images: run `clipdb label --labeller evidence`'
            when labeller = 'zero-shot' then 'older than the images: run `clipdb label' || any_value(of_pool) || '`'
            when not coalesce(bool_or(imported), false) and max(run) < any_value(image_runs.newest)
                then 'older than the images: run `clipdb span' || any_value(of_pool) || '`, then ' || any_value(renewal)
            when max(run) < any_value(span_runs.newest) then 'older than the spans: run ' || any_value(renewal) end)
    from (
        select *, ' --pool ' || pool as of_pool, case
            when starts_with(labeller, 'human:') then '`clipdb review --again`'
            when starts_with(labeller, 'llm:')
                then '`clipdb label --labeller llm --llm-model ' || labeller[5:] || of_pool || '`'
            else '`clipdb label --labeller ' || labeller || of_pool || '`' end as renewal
        from labels
    ) left join image_runs using (model_id) left join span_runs using (model_id, pool)
    where status = 'ok' group by model_id, labeller
    union all
    select 8, model_id, 'judgements', judge, count(distinct (layer, head, text_id, property)), concat_ws('; ',
        case when judge = 'vote' then 'not independent' end,
        any_value(asked) || ' of them on names of other heads, for chance',
        case when count(distinct run) > 1 then count(distinct run) || ' runs' end,
        any_value(names) || ' current names not judged: run `clipdb judge'
            || if(starts_with(judge, 'llm:'), ' --judge llm --llm-model ' || judge[5:], '')
            || any_value(' --pool ' || pool) || '`')
    from judgements
    left join unjudged using (model_id, judge) left join for_chance using (model_id, judge)
    where status = 'ok' group by model_id, judge
    union all
    select 9, model_id, 'effects', target, count(*), 'sets of heads'
    from effects where part = 'all' group by model_id, target
)
select model_id, what, name, number, nullif(note, '') as note
from holdings order by model_id nulls first, place, name
"""


def holdings(index: Index) -> duckdb.DuckDBPyConnection:
    """Ask what an index holds: rows of ``model_id``, ``what``, ``name``, ``number`` and ``note``.

    A note says what is older than what it stands on, with the command that renews it between backticks.

    Parameters
    ----------
    index
        An open index.
    """
    run = index.bare_connection.execute
    run("create or replace temp table vector_rows (model_id text, kind text, number bigint, newest text)")
    for (model, kind), held in index.vectors.held().items():
        run("insert into vector_rows values (?, ?, ?, ?)", [model, kind, held.rows, held.newest])
    run("create or replace temp table vector_index_rows (model_id text, name text, number bigint, note text)")
    for (model, kind), held in index.vectors.held().items():
        for head, (made, covered) in sorted((index.vectors.indexes(model) if kind == "images" else {}).items()):
            row = [model, head_name(*head), covered, _described(made, held.rows - covered)]
            run("insert into vector_index_rows values (?, ?, ?, ?)", row)
        for one in _of_properties(index, model, held.rows) if kind == "images" else ():
            run("insert into vector_index_rows values (?, ?, ?, ?)", [model, *one])
    place = remembered(index.bare_connection)
    elsewhere = "create or replace temp table vectors_elsewhere as select unnest(?::text[]) as place"
    run(elsewhere, [[place] if place else []])
    return index.ask(_HOLDINGS)


def _of_properties(index: Index, model: str, images: int) -> Iterator[tuple[str, int, str]]:
    """Yield the property, number of images and note of each vector index of several heads together."""

    def read(sql: str, *values: str) -> list[tuple[Any, ...]]:
        return index.ask(sql, values).fetchall()

    table = index.store.table(model, "images")
    for made in known_property_indexes(read, table, model):
        names = [name for heads, name in read(PROPERTY_HEADS, model) if heads == made.name]
        said = [f"recall@{AT} {made.recall:.3f} in {made.nprobes} of {made.partitions} partitions"]
        if not names:
            said.append("not used: no property is of just these heads now")
        elif not fits(made, table):
            said.append(f"not used, as images are in other places now: run `clipdb index --heads property={names[0]}`")
        elif newer := images - made.images:
            said.append(_beside(newer))
        yield names[0] if names else made.name, made.images, "; ".join(said)


def _described(made: VectorIndex, newer: int) -> str:
    """Say how good a vector index is, and how many images it doesn't cover."""
    said = [f"{made.type}, recall@{AT} {made.recall:.3f} in {made.nprobes} of {made.partitions} partitions"]
    if made.text_recall is not None:
        said.append(f"of texts {made.text_recall:.3f} in {made.text_nprobes}")
    if newer:
        said.append(_beside(newer))
    return "; ".join(said)


def _beside(newer: int) -> str:
    return f"{newer:,} images beside it are searched one by one"
