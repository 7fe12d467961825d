-- Images of the index
--
-- In the order of their ids, which are hashes: the first ones are a random sample.
--
-- $find text optional: Only images whose uri has this in it, or whose label is this.
-- $after text optional: Only images whose id comes after this one, to go on where the last answer ended.
-- $k integer = 60: How many to list.
-- needs: images
-- sheet: image_id label

select image_id, label, width, height, format, split, uri
from images
where ($find is null or contains(lower(uri), lower($find)) or lower(label) = lower($find))
    and ($after is null or image_id > $after)
order by image_id
limit $k
