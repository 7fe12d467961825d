-- A property as properties are compared: lower case, trimmed, without trailing punctuation. Null if nothing is left.
-- param property: the property as somebody wrote it
nullif(regexp_replace(lower(property), '^\s+|[\s.,;:!?]+$', '', 'g'), '')
