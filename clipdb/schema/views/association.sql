-- Association of each model, for each judge: the share of judged heads of which at least min_agree of the first top_n
-- spans fit the head's property. Higher is better. A head with fewer than min_agree verdicts is unjudged and is in
-- neither part of the fraction. Judges are never mixed.
-- param min_agree = 3: how many spans must fit
-- param top_n = 5: how many spans to look at
-- column model_id: Model with weights
-- column judge: Who judged
-- column independent: false for the judge vote, whose verdicts come from the same tags as its labels
-- column note: not independent, for the judge vote
-- column labelled_heads: Heads with a current property
-- column judged_heads: Those with at least min_agree verdicts (true or false) on their first top_n spans
-- column unjudged_heads: labelled_heads - judged_heads
-- column associated_heads: Judged heads of which at least min_agree of these spans fit
-- column association: associated_heads / judged_heads, 0..1; null where no head is judged
select
    model_id, judge, independent, note,
    count(*) as labelled_heads,
    count_if(judged >= min_agree)::bigint as judged_heads,
    count_if(judged < min_agree)::bigint as unjudged_heads,
    count_if(judged >= min_agree and ccs >= min_agree)::bigint as associated_heads,
    count_if(judged >= min_agree and ccs >= min_agree) / nullif(count_if(judged >= min_agree), 0) as association
from ccs(top_n := top_n)
group by model_id, judge, independent, note
