-- Heads that may carry several properties
--
-- Heads of much variance whose property few of their spans fit: at least top - at-most of the first top spans are
-- judged not to fit the head's current property, and the head varies at least as much as the median head of its model, where that is known.
-- Those with the largest share of the model's variance come first. Heads without a label are not judged and not here.
-- One row per judge: verdicts of the judge vote are not independent of names by zero-shot or vote.
--
-- $at_most integer = 2: How many of the first spans may fit.
-- $top integer = 5: How many spans to look at.
-- $model model optional: Only heads of this model.
-- note: select model_id || ': ' || note from cut_models where $model is null or model_id = $model
-- needs: labels, judgements
-- empty: no head has a clear name, see `clipdb query heads` for the reasons

with varying as (
    select
        model_id, layer, head, total_variance, effective_rank,
        total_variance / sum(total_variance) over (partition by model_id) as variance_share,
        median(total_variance) over (partition by model_id) as median_variance
    from heads
)
select
    model_id, name as head, property, judge, note, scores.ccs, judged, variance_share, effective_rank, spans
from ccs(top_n := $top) as scores
join varying using (model_id, layer, head)
join (select model_id, layer, head, spans from head_cards(top_n := $top)) as cards using (model_id, layer, head)
where judged - scores.ccs >= $top - $at_most
    and coalesce(total_variance >= median_variance, true)
    and ($model is null or model_id = $model)
order by model_id, variance_share desc, layer, scores.head, judge
