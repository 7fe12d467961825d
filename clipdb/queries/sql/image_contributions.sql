-- Why two images have the cosine that they have
--
-- What each head adds to it, the largest first: share sums what the heads of the first image write, along the whole
-- embedding of the second, and share_b the other way round. MLPs and the stem with all biases follow, where the index has
-- them. Each column adds up to the cosine, with a rest, 'not stored', which is what the index lacks.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $image_b image required: The other image.
-- $by choice(head|layer|property) = head: What shares are summed by.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- note: select note || '; ''not stored'' has what they lack' from cut_models
--     where model_id = $model and $partition is distinct from 'pool'

select
    case
        when shares.head is null and name like '%MLP' and $by = 'property' then 'MLPs'
        when shares.head is null or $by = 'head' then name
        when $by = 'layer' then if(layer < 0, 'pooling', 'layer ' || layer)
        else coalesce(normal_property(property), 'unlabelled')
    end as part,
    case when $by = 'head' then any_value(normal_property(property)) end as property,
    count(shares.head) as heads, sum(share) as share, sum(share_b) as share_b
from image_contributions($model, $image, $image_b, partition := $partition) as shares
group by part, shares.head is null
order by part = 'not stored', shares.head is null, abs(sum(share)) desc, part
