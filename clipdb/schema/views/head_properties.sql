-- The current property of each labelled head, one a head. Of the labels with status ok and a property, a human's
-- goes before an LLM's, then an import's, then the vote's; among equals the newest counts.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property as the labeller wrote it
-- column property_key: The property as properties are compared (normal_property)
-- column pool: Pool whose spans the labeller saw
-- column labeller: Who named it
-- column confidence: The labeller's confidence, 0..1, where it gave one
-- column rationale: The labeller's reason, where it gave one
-- column created_at: When the label was given (UTC)
-- column run: Run that wrote the label
select
    model_id, layer, head, format('L{}.H{}', layer, head) as name,
    property, normal_property(property) as property_key,
    pool, labeller, confidence, rationale, created_at, run
from labels
where status = 'ok' and normal_property(property) is not null
qualify row_number() over (
    partition by model_id, layer, head
    order by labeller_rank(labeller), created_at desc nulls last, run desc, labeller, pool
) = 1
