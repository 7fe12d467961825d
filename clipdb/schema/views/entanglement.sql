-- How much the heads of a model share properties. Entanglement is the share of its labelled heads whose property
-- another head of the model also carries: lower is better. It is this project's reading of a number that is
-- published without a formula, so read it beside exclusive, the other share.
-- column model_id: Model with weights
-- column heads: Heads of the model in this index, labelled or not
-- column labelled_heads: Heads with a current property
-- column shared_heads: Labelled heads whose property another head of the model also carries
-- column entanglement: shared_heads / labelled_heads, 0..1; null where no head is labelled
-- column exclusive: 1 - entanglement: share of labelled heads that alone carry their property
-- column properties: Different properties among the labelled heads
-- column effective_properties: exp(entropy of the distribution of labelled heads over properties), 1..properties
with by_property as (
    select model_id, property_key, count(*) as carriers
    from head_properties
    group by model_id, property_key
),
labelled as (
    select
        model_id,
        sum(carriers)::bigint as labelled_heads,
        coalesce(sum(carriers) filter (carriers > 1), 0)::bigint as shared_heads,
        count(*) as properties,
        ln(sum(carriers)) - sum(carriers * ln(carriers)) / sum(carriers) as entropy
    from by_property
    group by model_id
),
present as (
    select model_id, count(*) as heads from heads group by model_id
)
select
    model_id,
    coalesce(present.heads, 0) as heads,
    coalesce(labelled_heads, 0) as labelled_heads,
    coalesce(shared_heads, 0) as shared_heads,
    shared_heads / labelled_heads as entanglement,
    1 - shared_heads / labelled_heads as exclusive,
    coalesce(properties, 0) as properties,
    exp(entropy) as effective_properties
from present full join labelled using (model_id)
