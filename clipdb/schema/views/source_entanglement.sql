-- Entanglement by every source's names (source_names), by model, layer or property. The views entanglement* are this for
-- the current names, and say what it means.
-- param part = 'model': model, layer or property: what a row is about
-- param level = .95: coverage of the bootstrap interval, 0..1
-- param names_in = 'source_names': relation with the names, by its name
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the heads, or current
-- column layer: Layer, counted from 0, where part is layer
-- column property: The property, as properties are compared, where part is property
-- column labelled_heads: Heads with a name of this source
-- column share_of_heads: labelled_heads as a share of all heads of the model with a name of this source, 0..1
-- column shared_heads: Those whose property another head of the model and partition also carries
-- column entanglement: shared_heads / labelled_heads, 0..1
-- column entanglement_low: Lower end of its bootstrap interval over heads
-- column entanglement_high: Upper end of this interval
-- column exclusive: 1 - entanglement: share of labelled heads that alone carry their property
-- column properties: Different properties among the labelled heads
-- column effective_properties: Of the whole model: exp(entropy of its labelled heads' distribution over properties)
-- column layers: Layers of these heads, in order, where part is property
-- column partition: trunk or pool: the model's heads of each are counted apart (heads.partition)
with by_property as (
    select
        model_id, pool, labeller, property_key, if(layer < 0, 'pool', 'trunk') as partition, count(*) as carriers, histogram(layer) as layers
    from query_table(names_in)
    group by all
),
told_apart as ( -- one row per property, or a property and layer
    select
        * exclude layers, if(part = 'property', map_keys(layers), null) as layers,
        unnest(if(part = 'layer', map_entries(layers), [{'key': null, 'value': carriers}])) as cell
    from by_property
),
counted as (
    select
        model_id, pool, labeller, partition, cell.key as layer, if(part = 'property', property_key, null) as property, layers,
        sum(cell.value)::bigint as labelled_heads,
        coalesce(sum(cell.value) filter (carriers > 1), 0)::bigint as shared_heads,
        count(*) as properties,
        sum(cell.value * ln(carriers)) as logarithms
    from told_apart
    group by all
),
bounded as ( -- before the window, which hands on a few rows at a time
    select *, bootstrap_interval(shared_heads, labelled_heads, level := level) as ends from counted
),
whole as (
    select *, sum(labelled_heads) over source as of_source, sum(logarithms) over source as all_logarithms
    from bounded
    window source as (partition by model_id, pool, labeller, partition)
)
select
    model_id, pool, labeller, layer, property, labelled_heads,
    labelled_heads / of_source as share_of_heads,
    shared_heads,
    shared_heads / labelled_heads as entanglement,
    ends.low as entanglement_low, ends.high as entanglement_high,
    1 - shared_heads / labelled_heads as exclusive,
    properties,
    exp(ln(of_source) - all_logarithms / of_source) as effective_properties,
    layers, partition
from whole
