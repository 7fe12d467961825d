-- Two models head by head
--
-- Each head of a with the head of b in its place: of the same layer and number where both have one architecture, else
-- the heads that are most alike, each at most once (--by assignment). label says what became of the head's property:
-- kept, changed, lost or gained. cka compares what they say of the images that both have seen, overlap what they can
-- write. distance is between their contributions: 0 for the same, 1 for uncorrelated ones, 2 for opposite ones; it and
-- overlap are empty unless one model is a fine-tune of the other (--base), for then they embed into one space.
-- spans_common counts descriptions among the first of both; variance is each head's share of that of all heads.
--
-- $a model optional: One model; may be left out where the index has two.
-- $b model optional: The other model; may be left out likewise.
-- $by choice(auto|position|assignment) = auto: How heads are paired.
-- $images integer = 10000: How many images to compare over, a fixed random sample; 0 for all.
-- $top integer = 10: Among how many first spans of each head common ones are counted.
-- $pool pool optional: Only spans from this pool; else from all that both have.
-- needs: heads
-- note: with pairs as (select any_value(a) as a, any_value(b) as b, sum(images) as images
--         from compare_heads($a, $b, $by, $images)),
--     sides as (select unnest([a, b]) as model, unnest([b, a]) as other, unnest(['lost: ', 'gained: ']) as what from pairs),
--     names as (select model_id, property_key, count(*) as heads from head_properties group by all),
--     spanned as (select distinct model_id from spans where $pool is null or pool = $pool)
--     select said from (
--     select 1 as place, a || ' and ' || b || ' share no images: cka and distance are empty' as said from pairs
--     where images = 0
--     union all
--     select 2, model || ' has no spans to compare: run `clipdb span`' from sides where model not in (from spanned)
--     union all
--     select 2, a || ' and ' || b || ' have no spans from one pool: run `clipdb span --pool NAME`' from pairs
--     where a in (from spanned) and b in (from spanned) and not exists (
--         select pool from spans where model_id = a and ($pool is null or pool = $pool)
--         intersect select pool from spans where model_id = b
--     )
--     union all
--     select 3, model || ' has no names of heads to compare: run `clipdb label`' from sides
--     where model not in (select model_id from names)
--     union all
--     select if(what = 'lost: ', 4, 5), what || string_agg(
--             property_key || ' names ' || heads || if(heads = 1, ' head of ', ' heads of ') || model || ' and none of '
--             || other, '; ' order by heads desc, property_key
--         ) from sides join names on model_id = model
--     where other in (select model_id from names)
--         and property_key not in (select property_key from names as others where others.model_id = other)
--     group by what
--     ) order by place, said

with pairs as (
    from compare_heads($a, $b, $by, $images)
),
shares as (
    select
        model_id, name, layer, heads.head,
        total_variance / sum(total_variance) over (partition by model_id, layer < 0) as share -- heads of a pooling apart
    from heads
),
firsts as (
    select model_id, name, pool, text_id
    from spans join (select model_id, layer, head, name from heads) using (model_id, layer, head)
    where spans.rank <= $top and ($pool is null or pool = $pool)
),
common as (
    select pairs.head, other, count(theirs.text_id) as spans_common
    from pairs
    join firsts as own on own.model_id = a and own.name = pairs.head
    join (select distinct model_id, name, pool from firsts) as has
        on has.model_id = b and has.name = other and has.pool = own.pool
    left join firsts as theirs
        on theirs.model_id = b and theirs.name = other and theirs.pool = own.pool and theirs.text_id = own.text_id
    group by pairs.head, other
)
select
    pairs.head, other, own.property, others.property as other_property,
    case
        when own.property_key = others.property_key then 'kept'
        when own.property_key is not null and others.property_key is not null then 'changed'
        when own.property_key is not null then 'lost'
        when others.property_key is not null then 'gained'
    end as label,
    cka, pairs.overlap, distance, spans_common, one.share as variance, two.share as other_variance,
    pairs.explained, explained_other, images, aligned, a, b
from pairs
left join common using (head, other)
left join shares as one on one.model_id = a and one.name = pairs.head
left join shares as two on two.model_id = b and two.name = other
left join head_properties as own on own.model_id = a and own.name = pairs.head
left join head_properties as others on others.model_id = b and others.name = other
order by one.layer nulls last, one.head, two.layer, two.head
