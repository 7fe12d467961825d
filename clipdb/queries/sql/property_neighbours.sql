-- Images like an image in some properties, or unlike it in others
--
-- All heads of a property are compared together. The score is the mean over the properties of --like, by their weights,
-- of the cosine after the heads' means are taken off; each property of --unlike takes off its weight times that cosine,
-- where it is above 0. In the space `joint` what the heads write into the joint embedding is summed, as published;
-- in `heads` their vectors stand side by side. With --baseline, baseline_id and baseline_score are the image of the same
-- rank by the whole embedding. precision is then the share of the images found that have the image's own true value, by
-- the metadata key that is called as the first property, or else by their label, and baseline_precision that of those by
-- the whole embedding. `clipdb query search-precision` measures both over many images.
--
-- Every image is compared, or, for one property of --like alone in the space `joint`, where its heads have a vector
-- index together (`clipdb index --heads property=NAME`), those that it chooses.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $like text optional: Properties with weights: texture, or texture:2,colour.
-- $unlike text optional: Properties in which to differ, with weights relative to those of --like.
-- $property text optional: A property; the same as in --like.
-- $k integer = 10: How many to list.
-- $space choice(joint|heads) = joint: Where the heads of a property are put together.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $exact boolean = false: Compare every image, even where the property has a vector index.
-- $baseline boolean = false: Show what the whole embedding finds beside them, and how many of each have the image's own true value.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model union all
--     select format('{} of {} heads of {} have a name that was tested and holds: `clipdb query search-precision` measures '
--     || 'whether to search by it', count_if(coalesce(tested, false)), count(*), property_key) from head_properties
--     where model_id = $model and list_contains(list_transform(split(concat_ws(',', $like, $property), ','),
--     lambda one: normal_property(split_part(one, ':', 1))), property_key)
--     group by property_key having count_if(coalesce(tested, false)) < count(*)
-- needs: labels
-- sheet: image_id score
-- empty: the image has not been through these heads, or no other has: `clipdb ingest images SRC --model MODEL --layers all` runs them

select rank, score, image_id, label, uri
from property_neighbours($model, $image, concat_ws(',', $like, $property), $unlike, $k, $space, $partition, $exact)
left join images using (image_id)
order by rank

-- with $baseline:
with asked as (
    select key, true_value(metadata, label, key) as own
    from images, (select normal_property(split_part(split_part(concat_ws(',', $like, $property), ',', 1), ':', 1)) as key)
    where image_id = $image
)
select
    rank, found.score, found.image_id, images.label, images.uri, whole.image_id as baseline_id,
    whole.score as baseline_score,
    avg((true_value(images.metadata, images.label, key) = own)::int) over () as precision,
    avg((true_value(near.metadata, near.label, key) = own)::int) over () as baseline_precision
from property_neighbours($model, $image, concat_ws(',', $like, $property), $unlike, $k, $space, $partition, $exact) as found
left join embedding_neighbours($model, $image, $k) as whole using (rank)
left join images on images.image_id = found.image_id
left join images as near on near.image_id = whole.image_id
left join asked on true
order by rank
