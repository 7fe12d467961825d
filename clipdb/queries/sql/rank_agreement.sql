-- Whether judges put heads in the order that people do
--
-- Spearman's rank correlation of a judge's ccs (how many of a head's first spans fit its name) or association (whether
-- at least min-agree do) with people's ratings: fit is how many of these spans people say fit, confidence how well they
-- say the name fits. Heads with fewer than min-agree verdicts are left out.
--
-- $labeller text = current: Only names of labellers like this; '%' for all, current for the current names.
-- $min_agree integer = 3: How many spans must fit, and be judged.
-- $top integer = 5: How many spans to look at.
-- $model model optional: Only this model.
-- needs: labels, judgements
-- empty: it takes a judge's verdicts and people's, of `clipdb judge --judge llm` and `clipdb review --rate --verdicts`

select
    coalesce(model_id, 'all models') as model_id, labeller, pool, judge, note, rating, score, heads, spearman
from rank_agreement(min_agree := $min_agree, top_n := $top) as scores
where ($model is null or model_id = $model) and labeller like $labeller
qualify model_id is not null or count(distinct model_id) over () > 1
order by scores.model_id nulls last, labeller <> 'current', labeller, pool, judge, rating, score
