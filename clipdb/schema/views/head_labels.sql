-- What each source calls each head: the newest label with status ok of each labeller, for each pool. Where that one says
-- that no property fits, or that none is clear, the source has no name for the head, whatever it said before.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property as the labeller wrote it
-- column property_key: The property as properties are compared (normal_property)
-- column pool: Pool whose spans or descriptions the labeller saw
-- column labeller: Who named it
-- column confidence: How sure a person, a language model or a published name is, 0..1, where it says
-- column share: For the labellers evidence, zero-shot and vote, the share that they measured: no probability
-- column rationale: The labeller's reason, where it gave one
-- column created_at: When the label was given (UTC)
-- column run: Run that wrote the label
with said as (
    select
        model_id, layer, head, format('L{}.H{}', layer, head) as name,
        property, normal_property(property) as property_key,
        pool, labeller, if(labeller in ('evidence', 'zero-shot', 'vote'), null, confidence) as confidence,
        if(labeller in ('evidence', 'zero-shot', 'vote'), confidence, null) as share, rationale, created_at, run
    from labels
    where status = 'ok'
),
newest as (
    select arg_max(said, (created_at, run)) as label from said group by model_id, layer, head, pool, labeller
)
select unnest(label) from newest where label.property_key is not null
