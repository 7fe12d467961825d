-- Images on which a head's output is most unusual
--
-- distance is the Mahalanobis distance of the image's vector from the head's mean, with the covariance shrunk after
-- Ledoit and Wolf (2004), about the square root of the head's size for an ordinary image; ratio is the distance over the
-- median distance.
--
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- sheet: image_id distance

select rank, distance, ratio, image_id, label, uri
from outliers($model, $head, $k)
left join images using (image_id)
order by rank
