-- Metrics of models and sources of names side by side
--
-- A row for each model, each source of its names (a labeller with the pool whose spans it saw; 'current': each head's
-- current name) and each judge of these names. entanglement is the share of labelled heads whose property another head
-- of the model also carries, exclusive the rest of them: lower entanglement is better. association is the share of
-- judged heads of which at least min-agree of the first top spans are judged to fit: higher is better. e_low, e_high and
-- a_low, a_high are the ends of their bootstrap intervals over heads, which have no width at 0 and 1 and are too narrow
-- for few heads. ties and missing count spans on which the
-- majority is a tie, and spans without any verdict.
--
-- $model model optional: Only this model.
-- $pool pool optional: Only names from the spans of this pool; current names may be from several and are left out.
-- $labeller text optional: Only names by this labeller, or 'current'.
-- $judge text optional: Only this judge, or 'majority'.
-- $min_agree integer = 3: How many spans must fit.
-- $top integer = 5: How many spans to look at.
-- $level number = 0.95: Coverage of the intervals, between 0 and 1.
-- needs: labels
-- empty: no head has a name of these models and sources, see `clipdb query heads` for the reasons
-- interval: entanglement e_low e_high
-- interval: association a_low a_high
-- note: select
--         count(*) || if(count(*) = 1, ' name is', ' names are') || ' written in several ways that count as one: '
--         || string_agg(ways, '; ' order by ways).substr(1, 200)
--     from (
--         select string_agg(distinct '"' || property || '"', ' and ' order by '"' || property || '"') as ways
--         from head_labels where $model is null or model_id = $model
--         group by model_id, labeller, property_key having count(distinct property) > 1
--     ) having count(*) > 0

select
    model_id, labeller, pool, judge, labelled_heads as labelled, entanglement, association, note,
    judged_heads as judged, exclusive, entanglement_low as e_low, entanglement_high as e_high, association_low as a_low,
    association_high as a_high, effective_properties, unjudged_heads as unjudged, ties, missing, partition
from scoreboard(min_agree := $min_agree, top_n := $top, level := $level)
where ($model is null or model_id = $model)
    and ($pool is null or pool = $pool)
    and ($labeller is null or labeller = $labeller)
    and ($judge is null or judge = $judge)
order by model_id, labeller <> 'current', labeller_rank(labeller), labeller, pool, judge, partition
