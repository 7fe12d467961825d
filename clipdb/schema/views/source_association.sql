-- Association of every source's names (source_names), for each judge, by model, layer or property. The views
-- association* are this for the current names, and say what it means.
-- Chance is exact where it is known what the judge says of every judged head with every name that these heads carry: for
-- vote always, since it compares names with tags, and for others once `clipdb judge --chance` has asked. Let a[h, j] be 1
-- where at least min_agree spans of head h fit the name of head j, 0 in other rows than this one. The mean of the sum
-- over a random permutation of n names is the sum of a over n, and its variance the sum of the squares of a, less its row
-- means and column means, plus its mean, over n - 1 (W. Hoeffding, A combinatorial central limit theorem, Annals of
-- Mathematical Statistics 22, 1951).
-- param part = 'model': model, layer or property: what a row is about
-- param min_agree = 3: how many spans must fit
-- param top_n = 5: how many spans to look at
-- param level = .95: coverage of the intervals, 0..1
-- param names_in = 'source_names': relation with the names, by its name
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the heads, or current
-- column layer: Layer, counted from 0, where part is layer
-- column property: The property, as properties are compared, where part is property
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column independent: false for the judge vote, and where the judge, or one of the majority, gave any of the names
-- column note: not independent, and how many names are the judge's own where it is not vote
-- column labelled_heads: Heads with a name of this source
-- column judged_heads: Those with at least min_agree verdicts (true or false) on their first top_n spans
-- column unjudged_heads: labelled_heads - judged_heads
-- column associated_heads: Judged heads of which at least min_agree of these spans fit
-- column association: associated_heads / judged_heads, 0..1; null where no head is judged
-- column association_low: Lower end of its interval (wilson_interval)
-- column association_high: Upper end of this interval
-- column chance: What the judge gives on average where names are shuffled over the model's judged heads, 0..1; null where that isn't known
-- column chance_low: Lower end of the interval in which level of the shufflings lie
-- column chance_high: Upper end of this interval
-- column excess: association - chance
-- column verdicts: Verdicts (true or false) on the heads' first top_n spans
-- column ties: Of these spans, those on which the majority is a tie
-- column missing: Of these spans, those without any verdict: not asked, failed, or the judge could not say
-- column undecided_pairs: Pairs of a judged head and a name that these heads carry, with fewer than min_agree verdicts; where there are any, chance isn't known
-- column partition: trunk or pool: which heads the row is about
with scored as materialized (
    select * replace (coalesce(pool, '') as pool), if(layer < 0, 'pool', 'trunk') as partition
    from source_ccs(top_n := top_n, names_in := names_in)
),
counted as (
    select
        model_id, pool, labeller, partition, if(part = 'layer', layer, null) as layer,
        if(part = 'property', property_key, null) as property, judge,
        bool_and(independent) as independent,
        count_if(not independent) as own,
        count(*) as labelled_heads,
        count_if(judged >= min_agree)::bigint as judged_heads,
        count_if(judged < min_agree)::bigint as unjudged_heads,
        count_if(judged >= min_agree and ccs >= min_agree)::bigint as associated_heads,
        sum(judged)::bigint as verdicts,
        sum(ties)::bigint as ties,
        sum(missing)::bigint as missing
    from scored
    group by all
),
heads as (
    select
        model_id, pool, labeller, partition, judge, layer, head, span_pool, property_key,
        count(*) over (partition by model_id, pool, labeller, partition, judge) as n
    from scored where judged >= min_agree
),
carried as (
    select
        model_id, pool, labeller, partition, judge, property_key, count(*) as carriers,
        count(*) over (partition by model_id, pool, labeller, partition, judge) as names
    from heads group by model_id, pool, labeller, partition, judge, property_key
),
fits as ( -- of the judge vote without names that no span fits
    select model_id, coalesce(pool, '') as pool, labeller, layer, head, 'vote' as judge, property_key, fit
    from tag_fits(top_n := top_n, names_in := names_in)
    union all
    select model_id, pool, labeller, layer, head, judge, said.property_key, fit
    from (select * exclude property_key from heads)
    join (from name_fits(top_n := top_n) where judge <> 'vote' and judged >= min_agree) as said
        using (model_id, layer, head, span_pool, judge)
),
pairs as ( -- every head with every name of which it is known, and how often this name was given
    select model_id, pool, labeller, partition, judge, layer, head, property_key, fit, carriers, names, n
    from fits join (select * exclude property_key from heads) using (model_id, pool, labeller, judge, layer, head)
    join carried using (model_id, pool, labeller, partition, judge, property_key)
),
decided as (
    select
        model_id, pool, labeller, partition, judge,
        if(judge = 'vote', 0, any_value(n) * any_value(names) - count(*)) as undecided_pairs,
        -- For the majority, each of its judges has to be asked.
        if(judge = 'majority', max(undecided_pairs) over (partition by model_id, pool, labeller, partition), undecided_pairs)
            = 0 as is_known
    from pairs
    group by model_id, pool, labeller, partition, judge
),
fitting as (
    select
        model_id, pool, labeller, partition, judge, if(part = 'layer', layer, null) as layer,
        if(part = 'property', property_key, null) as property, carriers, n,
        sum(carriers) over (partition by model_id, pool, labeller, judge, layer, head, property) as in_row,
        count(*) over (
            partition by model_id, pool, labeller, partition, judge, if(part = 'layer', layer, null), property_key
        ) as in_column
    from pairs
    where fit >= min_agree
),
shuffled as (
    select
        model_id, pool, labeller, partition, judge, layer, property, sum(carriers) / any_value(n) as mean,
        (sum(carriers) - sum(carriers * (in_row + in_column)) / any_value(n) + (sum(carriers) / any_value(n)) ** 2)
            / nullif(any_value(n) - 1, 0) as variance
    from fitting
    group by all
),
bounded as (
    select
        counted.*, if(judged_heads > 0, coalesce(undecided_pairs, 0), null)::bigint as undecided_pairs,
        wilson_interval(associated_heads, judged_heads, level := level) as ends,
        if(judged_heads > 0 and (counted.judge = 'vote' or is_known), coalesce(mean, 0), null) as by_chance,
        chance_interval(by_chance, coalesce(variance, 0), judged_heads, level := level) as chance_ends
    from counted
    left join decided using (model_id, pool, labeller, partition, judge)
    left join shuffled
        on (counted.model_id, counted.pool, counted.labeller, counted.partition, counted.judge)
        = (shuffled.model_id, shuffled.pool, shuffled.labeller, shuffled.partition, shuffled.judge)
        and shuffled.layer is not distinct from counted.layer
        and shuffled.property is not distinct from counted.property
)
select
    model_id, nullif(pool, '') as pool, labeller, layer, property, judge, independent,
    case when judge = 'vote' then 'not independent'
        when own > 0 then format('not independent: {} own', own) end as note,
    labelled_heads, judged_heads, unjudged_heads, associated_heads,
    associated_heads / nullif(judged_heads, 0) as association,
    ends.low as association_low, ends.high as association_high,
    by_chance / judged_heads as chance, chance_ends.low as chance_low, chance_ends.high as chance_high,
    (associated_heads - by_chance) / judged_heads as excess,
    verdicts, ties, missing, undecided_pairs, partition
from bounded
