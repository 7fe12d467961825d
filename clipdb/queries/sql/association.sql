-- How well heads' spans fit their property
--
-- association is the share of judged heads of which at least min-agree of the first top spans are judged to fit the
-- property. Higher is better; low and high are the ends of its interval over heads (Wilson's), as if heads were
-- independent of each other. chance is what the judge gives on average where the names are shuffled over the model's
-- judged heads, with the interval in which 95 % of the shufflings lie (--level says how many), and excess is association
-- less chance: with few properties many spans fit by chance. Of the judge vote it is always known. A language model has
-- to be asked about the other heads' names, too (`clipdb judge --judge llm --chance`: heads x names calls in place of one
-- a head), and have at least min-agree verdicts on each head with each name; else its chance is empty. So is that of
-- people, and of a majority with a judge whose chance is. A head with too few verdicts is unjudged and not counted; ties
-- and missing count spans on which the majority is a tie, and spans without any verdict. Judges are never mixed, but in
-- 'majority', which leaves out vote: its verdicts come from the pool's tags, as names by zero-shot and vote do, so they
-- are not independent of them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $min_agree integer = 3: How many spans must fit.
-- $top integer = 5: How many spans to look at.
-- $level number = 0.95: Coverage of the intervals, between 0 and 1.
-- $model model optional: Only this model.
-- needs: labels, judgements
-- interval: association low high
-- interval: chance chance_low chance_high

with parts as (
    select
        *, case
            when $by = 'property' then property when layer < 0 then 'pooling' when $by = 'layer' then 'layer ' || layer
            when partition = 'pool' then 'all heads of the pooling' else 'all heads' end as part,
        case $by when 'model' then -1 when 'layer' then layer else -labelled_heads end as place
    from source_association(
        part := $by, min_agree := $min_agree, top_n := $top, level := $level, names_in := 'current_names'
    )
)
select
    model_id, part, judge, note, excess, association, association_low as low, association_high as high, chance, chance_low,
    chance_high,
    judged_heads as judged, unjudged_heads as unjudged, ties, missing
from parts
where $model is null or model_id = $model
order by model_id, place, part, judge
