-- Association of each model, for each judge: the share of judged heads of which at least min_agree of the first top_n
-- spans fit the head's current property, with Wilson's interval. Higher is better. A head with fewer
-- than min_agree verdicts is unjudged and is in neither part of the fraction. Judges are never mixed, but in 'majority'.
-- param min_agree = 3: how many spans must fit
-- param top_n = 5: how many spans to look at
-- param level = .95: coverage of the intervals, 0..1
-- column model_id: Model with weights
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column independent: false for the judge vote, and where the judge, or one of the majority, gave any of the names
-- column note: not independent, and how many names are the judge's own where it is not vote
-- column labelled_heads: Heads with a current property
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
-- column ties: Spans among the heads' first top_n on which the majority is a tie
-- column missing: Spans among these without any verdict: not asked, failed, or the judge could not say
-- column partition: trunk or pool: which heads the row is about
select
    model_id, judge, independent, note, labelled_heads, judged_heads, unjudged_heads, associated_heads,
    association, association_low, association_high, chance, chance_low, chance_high,
    excess, ties, missing, partition
from source_association(
    part := 'model', min_agree := min_agree, top_n := top_n, level := level, names_in := 'current_names'
)
