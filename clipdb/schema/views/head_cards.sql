-- A head at a glance: its current property, who named it, and its first spans.
-- param top_n = 5: how many spans to list
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: Its current property; null where it has none
-- column labeller: Who named it
-- column confidence: The labeller's confidence, 0..1, where it gave one
-- column pool: Pool that the spans are from
-- column spans: Texts of the first spans, in order
-- column variance_explained: What each of these spans explains of the head's variance, fraction 0..1, in order
-- column cumulative_variance: What these spans explain together, fraction 0..1
with top_spans as (
    select
        model_id, layer, head, any_value(pool) as pool,
        list(text order by rank) as spans,
        list(variance_explained order by rank) as variance_explained,
        max(cumulative_variance) as cumulative_variance
    from head_spans
    where rank <= top_n
    group by model_id, layer, head
)
select
    heads.model_id, heads.layer, heads.head, heads.name,
    head_properties.property, head_properties.labeller, head_properties.confidence,
    coalesce(top_spans.pool, head_properties.pool) as pool,
    top_spans.spans, top_spans.variance_explained, top_spans.cumulative_variance
from heads
left join head_properties using (model_id, layer, head)
left join top_spans using (model_id, layer, head)
