-- How metrics go with what models are like
--
-- For each feature of an architecture, what models of each value have on average: entanglement, association, the share
-- of variance that spans explain, and effective rank, as a share of the numbers in a head's vectors (head_dim of most
-- models, more in front of an attention pooling). A model's
-- figures are the means over the stored layers of its trunk, weighted by their heads; depth is of layers, in quarters. The notes have
-- Spearman's rank correlations over models, for 4 of them or more, and for depth over the layers of each model,
-- averaged. A few models can show no law: they differ in more than one feature, and in what they were trained on.
--
-- $feature text optional: Only this feature: layers, heads_per_layer, head_dim, width, patch_size, image_size, pooling, depth.
-- needs: heads
-- note: with figures as (
--         from (
--             select
--                 model_id, layer, heads, depth, entanglement, association, explained,
--                 relative_rank as effective_rank
--             from layer_metrics where layer >= 0
--         ) unpivot (figure for metric in (entanglement, association, explained, effective_rank))
--     ),
--     within as (
--         select metric, model_id, corr(place, deep) as rho from (
--             select
--                 metric, model_id, rank() over (partition by metric, model_id order by figure)
--                 + (count(*) over (partition by metric, model_id, figure) - 1) / 2 as place,
--                 rank() over (partition by metric, model_id order by depth) as deep
--             from figures
--         ) group by metric, model_id having count(*) >= 4
--     ),
--     means as (
--         select metric, model_id, sum(figure * heads) / sum(heads) as figure from figures group by metric, model_id
--     ),
--     featured as (
--         from means join (
--             from (
--                 select distinct model_id, layers, heads_per_layer, head_dim, width, patch_size, image_size
--                 from layer_metrics
--             ) unpivot (size for feature in (layers, heads_per_layer, head_dim, width, patch_size, image_size))
--         ) using (model_id)
--     ),
--     across as (
--         select feature, metric, corr(place, big) as rho, count(*) as models from (
--             select
--                 feature, metric, rank() over (partition by feature, metric order by figure)
--                 + (count(*) over (partition by feature, metric, figure) - 1) / 2 as place,
--                 rank() over (partition by feature, metric order by size)
--                 + (count(*) over (partition by feature, metric, size) - 1) / 2 as big
--             from featured
--         ) group by feature, metric having count(*) >= 4
--     ),
--     said as (
--         select 'depth' as feature, metric, avg(rho) as rho, count(*) as models from within where isfinite(rho) group by all
--         union all
--         select feature, metric, rho, models from across where isfinite(rho)
--     )
--     select
--         'Spearman''s correlation with ' || feature || ' over ' || any_value(models) || if(any_value(models) = 1, ' model: ', ' models: ')
--         || string_agg(metric || ' ' || format('{:+.2f}', rho), ', ' order by metric)
--     from said where $feature is null or feature = $feature
--     group by feature, models order by feature

with layered as (
    from layer_metrics where layer >= 0
),
featured as (
    select 'depth' as feature, format('{:.2f} to {:.2f}', quarter / 4, (quarter + 1) / 4) as value, quarter as place, *
    from (select *, least(floor(depth * 4 - 1e-9), 3) as quarter from layered)
    union all by name
    select feature, coalesce(value, 'unknown') as value, try_cast(value as double) as place, layered.*
    from layered join (
        from (
            select
                model_id, any_value(layers)::text as layers, any_value(heads_per_layer)::text as heads_per_layer,
                any_value(head_dim)::text as head_dim, any_value(width)::text as width,
                any_value(patch_size)::text as patch_size, any_value(image_size)::text as image_size,
                any_value(pooling) as pooling
            from layer_metrics group by model_id
        ) unpivot include nulls (
            value for feature in (layers, heads_per_layer, head_dim, width, patch_size, image_size, pooling)
        )
    ) using (model_id)
),
by_model as (
    select
        feature, value, any_value(place) as place, model_id, count(*) as layers,
        sum(entanglement * heads) / sum(heads) filter (entanglement is not null) as entanglement,
        sum(association * heads) / sum(heads) filter (association is not null) as association,
        sum(explained * heads) / sum(heads) filter (explained is not null) as explained,
        sum(relative_rank * heads) / sum(heads) filter (relative_rank is not null) as effective_rank
    from featured
    group by feature, value, model_id
)
select
    feature, value, count(*) as models, sum(layers)::bigint as layers, avg(entanglement) as entanglement,
    avg(association) as association, avg(explained) as explained, avg(effective_rank) as effective_rank
from by_model
where $feature is null or feature = $feature
group by feature, value
order by feature = 'depth' desc, feature, any_value(place), value
