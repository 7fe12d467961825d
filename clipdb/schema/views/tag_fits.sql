-- How many of each named head's first spans carry which property as their tag in the pool: as many as the judge vote
-- would find to fit that property, were it the head's name. Of spans that the judge vote has seen; properties that none
-- of a head's carries have no row.
-- param top_n = 5: how many spans to look at
-- param names_in = 'source_names': relation with the names, by its name
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the head, or current
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column property_key: Tag, as properties are compared
-- column fit: Spans among the first top_n with this tag
with tagged as (
    select model_id, layer, head, pool as span_pool, normal_property(property) as property_key, count(*) as fit
    from spans
    join (select pool, text_id, property from pool_texts) as tags using (pool, text_id)
    semi join (from judgements where judge = 'vote' and status = 'ok') using (model_id, layer, head, text_id)
    where rank <= top_n and normal_property(property) is not null
    group by all
)
select given.model_id, given.pool, labeller, given.layer, given.head, tagged.property_key, fit
from query_table(names_in) as given
join head_pools using (model_id, layer, head)
join tagged
    on tagged.model_id = given.model_id and tagged.layer = given.layer and tagged.head = given.head
    and span_pool = if(list_contains(pools, given_from), given_from, last_pool)
