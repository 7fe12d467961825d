-- The metrics side by side: a row for each model, each source of names (a labeller with a pool, or 'current') and each
-- judge of these names; where nobody judged them, one row without a judge. Association has Wilson's interval, and
-- both have the level of chance, with its interval. Entanglement doesn't depend on the judge and is repeated.
-- param min_agree = 3: how many spans must fit
-- param top_n = 5: how many spans to look at
-- param level = .95: coverage of the intervals, 0..1
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the heads, or current
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these); null for nobody
-- column note: not independent, for the judge vote, and for names that the judge gave itself, with how many
-- column labelled_heads: Heads with a name of this source
-- column entanglement: Share of these whose property another head of the model also carries: lower is better
-- column entanglement_chance: What names drawn evenly from the properties of the pool give; null where it has none
-- column entanglement_chance_low: Lower end of the interval in which level of such draws lie
-- column entanglement_chance_high: Upper end of this interval
-- column entanglement_excess: entanglement - entanglement_chance
-- column exclusive: 1 - entanglement
-- column effective_properties: exp(entropy of the distribution of labelled heads over properties)
-- column association: Share of judged heads of which at least min_agree of the first top_n spans fit: higher is better
-- column association_low: Lower end of its interval
-- column association_high: Upper end of this interval
-- column association_chance: What the judge gives where names are shuffled over heads; null where that isn't known
-- column association_chance_low: Lower end of the interval in which level of the shufflings lie
-- column association_chance_high: Upper end of this interval
-- column association_excess: association - association_chance
-- column judged_heads: Heads with at least min_agree verdicts (true or false) on their first top_n spans
-- column unjudged_heads: labelled_heads - judged_heads
-- column ties: Spans among the heads' first top_n on which the majority is a tie
-- column missing: Spans among these without any verdict; null where there is no judge
-- column partition: trunk or pool: which heads the row is about
with every_name as (
    from source_names
),
judged as (
    from source_association(min_agree := min_agree, top_n := top_n, level := level, names_in := 'every_name')
    where verdicts > 0
)
select
    names.model_id, names.pool, names.labeller, judge, note, names.labelled_heads,
    entanglement, names.chance as entanglement_chance, names.chance_low as entanglement_chance_low,
    names.chance_high as entanglement_chance_high, names.excess as entanglement_excess, exclusive, effective_properties,
    association, association_low, association_high, judged.chance as association_chance,
    judged.chance_low as association_chance_low, judged.chance_high as association_chance_high,
    judged.excess as association_excess,
    coalesce(judged_heads, 0) as judged_heads,
    coalesce(unjudged_heads, names.labelled_heads) as unjudged_heads,
    ties, missing, names.partition
from source_entanglement(level := level, names_in := 'every_name') as names
left join judged
    on judged.model_id = names.model_id and judged.partition = names.partition and judged.labeller = names.labeller
    and judged.pool is not distinct from names.pool
