-- Images like an image in some properties, or unlike it in others
--
-- All heads of a property are compared together. The score is the mean over the properties of --like, by their weights,
-- of the cosine after the heads' means are taken off; each property of --unlike takes off its weight times that cosine,
-- where it is above 0. In the space `joint` what the heads write into the joint embedding is summed, as published;
-- in `heads` their vectors stand side by side. `clipdb query search-precision` measures whether this finds more of what
-- is true of the images than the whole embedding does.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $like text optional: Properties with weights: texture, or texture:2,colour.
-- $unlike text optional: Properties in which to differ, with weights relative to those of --like.
-- $property text optional: A property; the same as in --like.
-- $k integer = 10: How many to list.
-- $space choice(joint|heads) = joint: Where the heads of a property are put together.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: labels
-- sheet: image_id score
-- empty: the image has not been through these heads, or no other has: `clipdb ingest images SRC --model MODEL --layers all` runs them

select rank, score, image_id, label, uri
from property_neighbours($model, $image, concat_ws(',', $like, $property), $unlike, $k, $space, $partition)
left join images using (image_id)
order by rank
