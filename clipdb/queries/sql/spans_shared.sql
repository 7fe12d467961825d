-- Spans that several heads share
--
-- One row per description that is among the first spans of more than one head: how many heads, which, and the properties
-- that these are called by.
--
-- $top integer = 10: How many spans of each head to look at.
-- $model model optional: Only heads of this model.
-- $pool pool optional: Only spans picked from this pool.
-- needs: spans
-- limit: 50

select
    model_id, text as span, count(*) as heads,
    list(format('L{}.H{}', layer, spans.head) order by layer, spans.head) as shared_by,
    list(distinct property_key order by property_key) filter (property_key is not null) as properties,
    avg(variance_explained) as mean_variance, spans.pool
from spans
left join head_properties using (model_id, layer, head)
where rank <= $top
    and ($model is null or model_id = $model)
    and ($pool is null or spans.pool = $pool)
group by model_id, spans.pool, text_id, text
having count(*) > 1
order by heads desc, mean_variance desc nulls last, model_id, span
