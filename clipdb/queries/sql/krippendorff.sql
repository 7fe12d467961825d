-- How far all labellers or all judges agree
--
-- Krippendorff's alpha for any number of raters, not all of whom rated every item: 1 is full agreement, 0 is chance.
-- Labellers rate heads by naming them; judges rate spans by whether they fit. The judge vote, whose verdicts are not
-- independent of labels from the same tags, does not take part.
--
-- $kind choice(labels|judgements) optional: Only labellers, or only judges.
-- $raters text = %: Only labellers and judges like this; 'human:%' are people.
-- $pool pool optional: Only names given from the spans of this pool.
-- $model model optional: Only this model.
-- needs: labels

select
    coalesce(model_id, 'all models') as model_id, kind, alpha, note, scores.raters, items, unpaired, ratings, values
from krippendorff(who := $raters, of_pool := $pool) as scores
where ($kind is null or kind = $kind) and ($model is null or model_id = $model)
qualify model_id is not null or count(distinct model_id) over () > 1
order by kind desc, scores.model_id nulls last
