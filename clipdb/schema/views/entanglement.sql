-- How much the heads of a model share properties. Entanglement is the share of its labelled heads whose property
-- another head of the model also carries: lower is better. It is this project's reading of a number that is
-- published without a formula, so read it beside exclusive, the other share, and beside chance: with many heads and few
-- properties names drawn at random share as much. Heads don't share independently of each other, so it has no interval
-- of its own; chance has one.
-- Where a model has heads of two partitions (heads.partition), each is a row.
-- param level = .95: coverage of the interval of chance, 0..1
-- column model_id: Model with weights
-- column heads: Heads of the model in this index, labelled or not
-- column labelled_heads: Heads with a current property
-- column shared_heads: Labelled heads whose property another head of the model also carries
-- column entanglement: shared_heads / labelled_heads, 0..1; null where no head is labelled
-- column chance: What names drawn evenly from the properties of the names' pools give, 0..1; null where these have none
-- column chance_low: Lower end of the interval in which level of such draws lie
-- column chance_high: Upper end of this interval
-- column excess: entanglement - chance
-- column exclusive: 1 - entanglement: share of labelled heads that alone carry their property
-- column properties: Different properties among the labelled heads
-- column effective_properties: exp(entropy of the distribution of labelled heads over properties), 1..properties
-- column partition: trunk or pool: which heads the row is about
with present as (
    select model_id, partition, count(*) as heads from heads group by all
),
labelled as (
    from source_entanglement(level := level, names_in := 'current_names')
)
select
    model_id,
    coalesce(present.heads, 0) as heads,
    coalesce(labelled_heads, 0) as labelled_heads,
    coalesce(shared_heads, 0) as shared_heads,
    entanglement, chance, chance_low, chance_high, excess, exclusive,
    coalesce(properties, 0) as properties,
    effective_properties, partition
from present full join labelled using (model_id, partition)
