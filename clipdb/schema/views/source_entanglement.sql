-- Entanglement by every source's names (source_names), by model, layer or property. The views entanglement* are this for
-- the current names, and say what it means. With n of the model's N named heads in the row, and P properties to draw from,
-- a head is alone with probability q = (1 - 1/P)^(N - 1), and two heads both are with probability
-- (1 - 1/P) (1 - 2/P)^(N - 2): chance is 1 - q, and the variance of the count follows from the two.
-- param part = 'model': model, layer or property: what a row is about
-- param level = .95: coverage of the interval of chance, 0..1
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
-- column chance: What names drawn evenly from the properties of the names' pools give, 0..1; null where these have none
-- column chance_low: Lower end of the interval in which level of such draws lie (chance_interval)
-- column chance_high: Upper end of this interval
-- column excess: entanglement - chance
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
vocabulary as (
    select model_id, pool, labeller, count(distinct normal_property(pool_texts.property)) as choices
    from (select distinct model_id, pool, labeller, given_from from query_table(names_in))
    join (select pool as given_from, property from pool_texts) as pool_texts using (given_from)
    group by all
),
whole as (
    select *, sum(labelled_heads) over source as of_source, sum(logarithms) over source as all_logarithms
    from counted
    window source as (partition by model_id, pool, labeller, partition)
),
drawn as (
    select whole.*, pow(1 - 1 / choices, of_source - 1) as alone,
        (1 - 1 / choices) * pow(1 - 2 / choices, greatest(of_source - 2, 0)) as both_alone
    from whole left join (select * replace (nullif(choices, 0) as choices) from vocabulary) as vocabulary
        on part <> 'property' and vocabulary.model_id = whole.model_id and vocabulary.labeller = whole.labeller
        and vocabulary.pool is not distinct from whole.pool
),
bounded as (
    select
        *, chance_interval(
            labelled_heads * (1 - alone),
            labelled_heads * (labelled_heads - 1) * both_alone + labelled_heads * alone * (1 - labelled_heads * alone),
            labelled_heads, level := level
        ) as ends
    from drawn
)
select
    model_id, pool, labeller, layer, property, labelled_heads,
    labelled_heads / of_source as share_of_heads,
    shared_heads,
    shared_heads / labelled_heads as entanglement,
    1 - alone as chance, ends.low as chance_low, ends.high as chance_high,
    shared_heads / labelled_heads - (1 - alone) as excess,
    1 - shared_heads / labelled_heads as exclusive,
    properties,
    exp(ln(of_source) - all_logarithms / of_source) as effective_properties,
    layers, partition
from bounded
