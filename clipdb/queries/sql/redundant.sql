-- Heads that another head makes redundant
--
-- A head is redundant where a linear function of one other head's vectors explains nearly all that varies in its own:
-- explained is R^2 of the linear regression (Kornblith et al., arXiv 1905.00414, section 3), adjusted for the number of
-- predictors. One row per head, with the head that explains most of it; two heads may each make the other redundant. With
-- --by cka a head is redundant where linear CKA with another is as high: they say the same up to rotation and scale.
--
-- $least number = 0.9: How much must be explained, or how high the CKA must be, at least.
-- $by choice(explained|cka) = explained: Which of the two counts.
-- $same_property boolean = false: Only where both heads carry the same property.
-- $images integer = 10000: How many images to compare over, a fixed random sample; 0 for all.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: heads

with pairs as (
    select
        pairs.*, own.property, others.property as other_property,
        coalesce(own.property_key = others.property_key, false) as same_property,
        if($by = 'cka', cka, explained) as score
    from alike($model, null, $images) as pairs
    left join head_properties as own on own.model_id = $model and own.name = pairs.head
    left join head_properties as others on others.model_id = $model and others.name = other
)
select head, other, explained, cka, overlap, property, other_property, same_property
from pairs
where score >= $least and (same_property or not $same_property)
qualify row_number() over (partition by head order by score desc, other) = 1
order by score desc, head
