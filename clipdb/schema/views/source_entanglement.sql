-- Entanglement of each model by each source's names (source_names), current ones among them. The view entanglement is
-- this for the current names, and says what it means.
-- param level = .95: coverage of the bootstrap interval, 0..1
-- param names_in = 'source_names': relation with the names, by its name
-- column model_id: Model with weights
-- column pool: Pool whose spans the labeller saw; null for current
-- column labeller: Who named the heads, or current
-- column labelled_heads: Heads with a name of this source
-- column shared_heads: Those whose property another head of the model also carries
-- column entanglement: shared_heads / labelled_heads, 0..1
-- column entanglement_low: Lower end of its bootstrap interval over heads
-- column entanglement_high: Upper end of this interval
-- column exclusive: 1 - entanglement: share of labelled heads that alone carry their property
-- column properties: Different properties among the labelled heads
-- column effective_properties: exp(entropy of the distribution of labelled heads over properties), 1..properties
with by_property as (
    select model_id, pool, labeller, property_key, count(*) as carriers
    from query_table(names_in)
    group by all
),
counted as (
    select
        model_id, pool, labeller,
        sum(carriers)::bigint as labelled_heads,
        coalesce(sum(carriers) filter (carriers > 1), 0)::bigint as shared_heads,
        count(*) as properties,
        ln(sum(carriers)) - sum(carriers * ln(carriers)) / sum(carriers) as entropy
    from by_property
    group by model_id, pool, labeller
),
bounded as (
    select *, bootstrap_interval(shared_heads, labelled_heads, level := level) as ends from counted
)
select
    model_id, pool, labeller, labelled_heads, shared_heads,
    shared_heads / labelled_heads as entanglement,
    ends.low as entanglement_low, ends.high as entanglement_high,
    1 - shared_heads / labelled_heads as exclusive,
    properties,
    exp(entropy) as effective_properties
from bounded
