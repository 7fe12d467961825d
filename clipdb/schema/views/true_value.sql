-- What is true of an image: the value under the key of its metadata that is called as a property, or else its label.
-- param metadata: images.metadata
-- param label: images.label
-- param property_key: the property as properties are compared (normal_property)
coalesce(metadata ->> list_filter(json_keys(metadata), lambda one: normal_property(one) = property_key)[1], label)
