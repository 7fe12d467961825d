-- Files that could not be read
--
-- One row per file that an ingest could not read as an image, with the reason. It is tried again on the next ingest.

select uri, error, started_at
from image_failures
left join runs using (run)
order by uri
