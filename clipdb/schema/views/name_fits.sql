-- How many of a head's first spans each judge finds to fit a property: the head's name, a name that it had, or another
-- head's, as `clipdb judge --chance` asks. Depends on the spans and the property, not on who gave it.
-- param top_n = 5: how many spans to look at
-- param judgements_in = 'judgements': relation with the judgements, by its name
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column span_pool: Pool that the spans are from
-- column property_key: The property as properties are compared
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column judged: Of the first top_n spans, how many have a verdict (true or false)
-- column fit: How many fit
-- column ties: How many have none because as many judges of the majority say that they fit as that they do not
with first_spans as (
    select model_id, layer, head, pool as span_pool, text_id from spans where rank <= top_n
)
select
    model_id, layer, head, span_pool, property_key, judge,
    count(verdict) as judged, count(*) filter (verdict) as fit, count(*) filter (verdict is null and yes > 0) as ties
from first_spans join latest_verdicts(judgements_in := judgements_in) using (model_id, layer, head, text_id)
group by model_id, layer, head, span_pool, property_key, judge
