-- How far two labellers or two judges agree
--
-- One row per pair of labellers, whose items are heads and what they call them, or of judges, whose items are spans and
-- whether they fit. agreement is the share of the items that both rated of which they say the same; kappa is agreement
-- beyond chance (Cohen's: 1 is full, 0 is chance). blind counts the heads that people named without seeing a name, of
-- `clipdb review --blind`: on the others they may agree with what they were shown. The note says where a number is
-- missing, and which verdicts are not independent of the labels.
--
-- $kind choice(labels|judgements) optional: Only labellers, or only judges.
-- $rater text optional: Only pairs with this labeller or judge.
-- $pool pool optional: Only names given from the spans of this pool.
-- $model model optional: Only this model.
-- needs: labels
-- empty: it takes two labellers or two judges of one model, which `clipdb label`, `judge`, `review` and `import` add

select
    coalesce(model_id, 'all models') as model_id, kind, rater, other, note, items, blind, same_pool,
    pairs.agreement, kappa
from agreement(of_pool := $pool) as pairs
where ($kind is null or kind = $kind)
    and ($rater is null or $rater in (rater, other))
    and ($model is null or model_id = $model)
qualify model_id is not null or count(distinct model_id) over () > 1
order by kind desc, pairs.model_id nulls last, rater, other
