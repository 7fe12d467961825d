-- Whether an LLM asked the same again names a head the same: the runs of one model, prompt and set of examples.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column pool: Pool whose spans the LLM saw
-- column labeller: Who named it: llm:MODEL
-- column prompt_sha256: Hex SHA-256 of the prompt
-- column examples_sha256: Hex SHA-256 of the examples in the prompt
-- column runs: Runs that gave an answer: a name, or that none fits, which counts as the name 'none of these'
-- column failed: Runs that failed
-- column names: Different names, as properties are compared
-- column property: The most frequent name, as properties are compared; of equals the first by name
-- column share: Runs that gave this name / runs, 0..1
-- column agreement: Share of the pairs of runs that gave the same name, 0..1; null for fewer than two runs
with named as (
    select
        model_id, layer, head, pool, labeller, prompt_sha256, examples_sha256,
        if(status = 'ok', coalesce(normal_property(property), 'none of these'), null) as property_key, count(*) as times
    from labels
    where labeller like 'llm:%'
    group by all
)
select
    model_id, layer, head, format('L{}.H{}', layer, head) as name, pool, labeller, prompt_sha256, examples_sha256,
    coalesce(sum(times) filter (property_key is not null), 0)::bigint as runs,
    coalesce(sum(times) filter (property_key is null), 0)::bigint as failed,
    count(property_key) as names,
    first(property_key order by times desc, property_key) filter (property_key is not null) as property,
    max(times) filter (property_key is not null) / runs as share,
    sum(times * (times - 1)) filter (property_key is not null) / nullif(runs * (runs - 1), 0) as agreement
from named
group by model_id, layer, head, pool, labeller, prompt_sha256, examples_sha256
