-- How well search by a property finds what it should, beside the whole embedding
--
-- For images whose true value is known, from the metadata or the label: precision is the share of an image's nearest
-- images in the heads of a property (`clipdb query property-neighbours`) that have its value, embedding the same of those
-- nearest by the whole embedding, and chance that of images drawn at random. difference is precision less embedding, with
-- its 95 % interval over the images asked about. worth says which search to use: heads that carry the name of a property
-- may find it worse than the whole embedding does.
--
-- $property property optional: A property; each that a key of the metadata is called after unless given.
-- $target text optional: What is true of an image: a key of the metadata, or label. The key called as the property unless given.
-- $k integer = 10: How many neighbours of each image to look at.
-- $images integer = 200: How many images to ask about.
-- $space choice(joint|heads) = joint: Where the heads of a property are put together.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: labels
-- interval: difference low high

select
    property, target, heads, images, precision, embedding, chance, difference, low, high,
    case when low > 0 then 'use the property' when high < 0 then 'use the whole embedding' else 'no difference' end as worth
from search_precision($model, $property, $target, $k, $images, $space, $partition)
order by difference desc, property
