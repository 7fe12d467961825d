-- Association of every source's names (source_names), for each judge, by model, layer or property. The views
-- association* are this for the current names, and say what it means.
-- param part = 'model': model, layer or property: what a row is about
-- param min_agree = 3: how many spans must fit
-- param top_n = 5: how many spans to look at
-- param level = .95: coverage of the bootstrap interval, 0..1
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
-- column association_low: Lower end of its bootstrap interval over judged heads
-- column association_high: Upper end of this interval
-- column verdicts: Verdicts (true or false) on the heads' first top_n spans
-- column ties: Of these spans, those on which the majority is a tie
-- column missing: Of these spans, those without any verdict: not asked, failed, or the judge could not say
-- column partition: trunk or pool: which heads the row is about
with counted as (
    select
        model_id, pool, labeller, if(layer < 0, 'pool', 'trunk') as partition, if(part = 'layer', layer, null) as layer,
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
    from source_ccs(top_n := top_n, names_in := names_in)
    group by all
),
bounded as (
    select *, bootstrap_interval(associated_heads, judged_heads, level := level) as ends from counted
)
select
    model_id, pool, labeller, layer, property, judge, independent,
    case when judge = 'vote' then 'not independent'
        when own > 0 then format('not independent: {} own', own) end as note,
    labelled_heads, judged_heads, unjudged_heads, associated_heads,
    associated_heads / nullif(judged_heads, 0) as association,
    ends.low as association_low, ends.high as association_high,
    verdicts, ties, missing, partition
from bounded
