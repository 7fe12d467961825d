-- A head at a glance: its current property, who named it, and its first spans; where it has no name, or only a lesser
-- labeller's, why not.
-- param top_n = 5: how many spans to list
-- param only_pool = null: show the spans and names from this pool, not those that count now
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: Its current property; null where it has none
-- column labeller: Who named it
-- column confidence: How sure a person, a language model or a published name is, 0..1, where it says
-- column share: For the labellers evidence, zero-shot and vote, the share that they measured: no probability
-- column tested: Whether the labeller evidence says the same (head_properties)
-- column probability: How likely such a name by the labeller is right, by the heads that have evidence (name_probabilities)
-- column note: What a labeller says that goes before this one (labeller_rank) and found no name for the head
-- column pool: Pool that the spans are from
-- column spans: Texts of the first spans, in order
-- column variance_explained: What each of these spans explains of the head's variance, fraction 0..1, in order
-- column cumulative_variance: What these spans explain together, fraction 0..1
with silent as ( -- who found no name when asked last
    select model_id, layer, head, labeller_rank(labeller) as rank, rationale || ' (' || labeller || ')' as note, created_at, run
    from labels
    where status = 'ok' and (only_pool is null or pool = only_pool)
    qualify row_number() over (
        partition by model_id, layer, head, pool, labeller order by created_at desc, run desc
    ) = 1 and normal_property(property) is null and rationale is not null
),
first_silent as (
    select unnest(arg_max(silent, (-rank, created_at, run))) from silent group by model_id, layer, head
),
names as (
    from head_properties(only_pool := only_pool)
),
spans_by_pool as (
    select
        model_id, layer, head, pool, max(run) as run,
        list(text order by rank) filter (rank <= top_n) as spans,
        list(variance_explained order by rank) filter (rank <= top_n) as variance_explained,
        max(cumulative_variance) filter (rank <= top_n) as cumulative_variance
    from spans
    where only_pool is null or pool = only_pool
    group by model_id, layer, head, pool
),
top_spans as ( -- of the pool that head_spans would choose; to ask it would find the names again
    select unnest(arg_max(spans_by_pool, (coalesce(spans_by_pool.pool = names.pool, false), spans_by_pool.run, spans_by_pool.pool)))
    from spans_by_pool left join names using (model_id, layer, head)
    group by model_id, layer, head
)
select
    heads.model_id, heads.layer, heads.head, heads.name,
    names.property, names.labeller, names.confidence,
    names.share,
    names.tested, likely.probability,
    if(first_silent.rank < coalesce(labeller_rank(names.labeller), first_silent.rank + 1), note, null) as note,
    coalesce(top_spans.pool, names.pool) as pool,
    top_spans.spans, top_spans.variance_explained, top_spans.cumulative_variance
from heads
left join names using (model_id, layer, head)
left join name_probabilities as likely
    on (names.model_id, names.layer, names.head, names.labeller, names.pool)
    = (likely.model_id, likely.layer, likely.head, likely.labeller, likely.pool)
left join first_silent using (model_id, layer, head)
left join top_spans using (model_id, layer, head)
