-- What each head goes with, measured by what is true of the images
--
-- A row per head and key of the images' metadata (or label). share is the share of the head's variance that lies between
-- images of different values (eta squared, adjusted for their number: 0 on average where values are random), chance what
-- 1 in 20 permutations of the images would exceed, and p how many would reach share. accuracy is how often a linear probe
-- on the head's vectors is right on images that it wasn't fitted to, majority how often the most frequent value is, and
-- accuracy_p how many permutations of the true values are as accurate. split says which images were held out:
-- images.split, or image_id for one in four by their id. Images of minimal pairs (`clipdb query specificity`) don't
-- count. Keys with one value, or with fewer than two images a value, can't be asked about.
--
-- truth says what heads are compared with: metadata; or, if nothing is known of the images or a pool is given, the
-- model's own zero-shot answers without the head: for each property of the pool, the description that is nearest to an
-- image's embedding once the head's contribution is taken from it. So a head isn't compared with itself, but where the
-- model is wrong, these are, too.
--
-- $head head optional: Only this head.
-- $key text optional: Only this key of the metadata, or label; of answers, this property.
-- $pool pool optional: Compare with the model's own answers by this pool, also where something is known of the images.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: images
-- limit: 20

select
    found.head, found.key, found.share, found.chance, found.p, accuracy, majority, accuracy_p, found.images, held_out,
    split, named.property, found.truth
from evidence($model, $head, $key, $pool) as found
join heads on heads.model_id = $model and heads.name = found.head
left join head_properties as named on named.model_id = $model and named.name = found.head
order by found.share desc nulls last, heads.layer, heads.head, found.key
