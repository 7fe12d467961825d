-- Metrics of models and sources of names side by side
--
-- A row for each model, each source of its names (a labeller with the pool whose spans it saw; 'current': each head's
-- current name) and each judge of these names. entanglement is the share of labelled heads whose property another head
-- of the model also carries, exclusive the rest of them: lower entanglement is better. association is the share of
-- judged heads of which at least min-agree of the first top spans are judged to fit: higher is better. a_low and a_high
-- are the ends of its interval over heads (Wilson's). e_chance is what names drawn evenly from the properties of the
-- pool give, and a_chance what the judge gives where names are shuffled over heads, each with the interval in which
-- 95 % of draws lie (--level says how many); e_excess and a_excess are the figures less chance, and what to compare
-- models by. See the queries entanglement and association for where chance is not known; of a language model it takes
-- `clipdb judge --chance`. ties and missing count spans on which the majority is a tie, and spans without any verdict.
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
-- interval: e_chance e_chance_low e_chance_high
-- interval: association a_low a_high
-- interval: a_chance a_chance_low a_chance_high
-- note: select
--         count(*) || if(count(*) = 1, ' name is', ' names are') || ' written in several ways that count as one: '
--         || string_agg(ways, '; ' order by ways).substr(1, 200)
--     from (
--         select string_agg(distinct '"' || property || '"', ' and ' order by '"' || property || '"') as ways
--         from head_labels where $model is null or model_id = $model
--         group by model_id, labeller, property_key having count(distinct property) > 1
--     ) having count(*) > 0

select
    model_id, labeller, pool, judge, labelled_heads as labelled, entanglement_excess as e_excess,
    association_excess as a_excess, entanglement, entanglement_chance as e_chance, entanglement_chance_low as e_chance_low,
    entanglement_chance_high as e_chance_high, association, association_low as a_low, association_high as a_high,
    association_chance as a_chance, association_chance_low as a_chance_low, association_chance_high as a_chance_high, note,
    judged_heads as judged, exclusive, effective_properties, unjudged_heads as unjudged, ties, missing, partition
from scoreboard(min_agree := $min_agree, top_n := $top, level := $level)
where ($model is null or model_id = $model)
    and ($pool is null or pool = $pool)
    and ($labeller is null or labeller = $labeller)
    and ($judge is null or judge = $judge)
order by model_id, labeller <> 'current', labeller_rank(labeller), labeller, pool, judge, partition
