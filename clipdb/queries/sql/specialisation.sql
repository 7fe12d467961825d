-- How specialised a model's heads are
--
-- Entanglement and association compare names; this compares what heads do. It stands on the shares that the labellers
-- zero-shot and evidence measured (see the query label-scores): how much of a head's variance lies between images told
-- apart by a property, by the model's own classification over a pool; and, as the pool evidence, by the truth, in minimal
-- pairs or else in the metadata of images. share is the largest share of each head, averaged over the heads, and margin how far it is over the second
-- largest. chance is what 1 in 20 random groupings of the images would exceed, averaged likewise, and excess is share
-- less chance. information is in bits: take a unit of variance of a head drawn at random; how much does knowing the
-- head tell about the property that it goes with? Of a head's variance the part over chance is told apart by property,
-- the rest goes with none. It is 0 where no share is over chance or all heads go with the same properties alike, and at
-- most most, where every head goes with one property alone and heads are spread evenly over them. Properties that
-- images have together share variance, so compare models on the same images and pool.
--
-- $model model optional: Only this model.
-- $pool pool optional: Only properties of this pool.
-- needs: heads
-- empty: only `clipdb label` measures shares

with newest as (
    from label_scores
    where ($model is null or model_id = $model) and ($pool is null or pool = $pool)
    qualify rank() over (partition by model_id, layer, head, pool order by run desc) = 1
),
by_head as (
    select
        model_id, pool, count(*) over (partition by model_id, pool) as heads, best[1] as best, best[1] - best[2] as margin,
        chance, properties, overs, least(list_sum(map_values(overs)), 1) as told
    from (
        select
            model_id, pool, layer, head, max(share, 2) as best, max(chance) as chance, count(*) as properties,
            map_from_entries(list((property, greatest(share - coalesce(chance, 1), 0)))) as overs
        from newest
        group by all
    )
),
parts as ( -- probabilities: of a property, or none, given a head
    select
        model_id, pool, heads, told,
        unnest(map_entries(overs)).key as property,
        unnest(map_entries(overs)).value * told / nullif(list_sum(map_values(overs)), 0) as given_head
    from by_head
    union all
    select model_id, pool, heads, told, null, 1 - told from by_head
),
informed as (
    select model_id, pool, sum(bits) as information
    from (
        select
            model_id, pool,
            given_head / heads * log2(given_head / (sum(given_head) over (partition by model_id, pool, property) / heads)) as bits
        from parts
        where given_head > 0
    )
    group by all
)
select
    model_id, pool, count(*) as heads, avg(best) - avg(chance) as excess, avg(best) as share, avg(chance) as chance,
    avg(margin) as margin, coalesce(any_value(information), 0) as information, log2(max(properties)) as most
from by_head left join informed using (model_id, pool)
group by model_id, pool
order by model_id, pool
