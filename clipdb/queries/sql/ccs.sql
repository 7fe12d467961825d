-- Concept consistency of each head
--
-- How many of a head's first spans are judged to fit its property (Concept Consistency Score, arXiv 2503.11103): high
-- where all do, low where at most one does. ties and missing count those of these spans on which the majority is a tie,
-- and those without any verdict. chance is how many the judge vote would find to fit on average where the names are
-- shuffled over the model's heads, with the interval in which 95 % of the shufflings lie, and excess is ccs less
-- chance. For other judges these are empty: where they are known over all heads, the query association has them.
-- Verdicts of the judge vote are not independent of names by zero-shot or vote.
--
-- $model model optional: Only heads of this model.
-- $top integer = 5: How many spans to look at.
-- $judge text optional: Only this judge, or 'majority'.
-- needs: labels, judgements
-- interval: chance chance_low chance_high

select model_id, name as head, property, judge, note, excess, scores.ccs, chance, chance_low, chance_high, judged, ties,
    missing, ccs_group
from ccs(top_n := $top) as scores
where ($model is null or model_id = $model)
    and ($judge is null or judge = $judge)
order by scores.ccs desc nulls last, model_id, layer, scores.head, judge
