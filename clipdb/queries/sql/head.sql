-- One head's card
--
-- What the head is called and by whom, and its spans in the order in which TEXTSPAN picked them, each with the share
-- of the head's variance that it explains.
--
-- $head head required: The head, as L11.H3.
-- $model model required: The model; may be left out where the index has one.
-- needs: heads

select
    heads.name as head, property, labeller, confidence, rank, text as span,
    variance_explained as variance, cumulative_variance as cumulative, head_spans.pool
from heads
left join head_properties using (model_id, layer, head)
left join head_spans using (model_id, layer, head)
where heads.model_id = $model and heads.name = $head
order by rank
