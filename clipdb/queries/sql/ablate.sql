-- Accuracy after heads' direct contributions are taken off
--
-- Classifies the images by the nearest of their classes' texts, before and after what the heads add to the scores is
-- taken away, and after the same for random sets of as many other heads. The heads are those that meet all conditions
-- given. These are direct effects only: what the heads do through later layers stays, the model does not run, and
-- nothing is renormalised. So this is not the accuracy of the model run without the heads, where later layers may make
-- up for part of the loss, or lose more: on 300 scenes, the packaged model's accuracy for backgrounds falls from 1.000 to
-- .350 here, without the heads of that property, and to .613 there (docs/meaning.md). `clipdb ablate` runs the model and
-- shows both.
-- There is a row for all images, for each class, for each group where $groups is given, and for the worst group: the one
-- with the lowest accuracy, of the groups or else of the classes. Which one that is may change, so before is the lowest
-- accuracy with all heads and after the lowest without these; A -> B says that A was the worst before and B is after.
-- images is the size of B. Each random set has a worst group of its own, and control is the mean of their accuracies.
--
-- $heads text optional: The heads, as L4.H1,L4.H2.
-- $property text optional: Heads that carry this property; several with commas.
-- $layers text optional: Heads of these layers: 3-4, 0,2, last2 or pool.
-- $labeller text optional: Heads by the labels of this labeller, as vote, not by their current ones.
-- $ccs choice(high|moderate|low) optional: Heads of which all, some or at most one of the first 5 spans fit the property.
-- $judge text optional: Whose verdicts make the ccs, where there are several judges and no majority.
-- $mode choice(zero|mean) = zero: Take away all that a head adds, or all but the mean of it over the images.
-- $target text = label: What is classified: label, or a key of the images' metadata.
-- $template text = a photo of a {}: The text of a class; its name goes where {} is.
-- $templates templates optional: A file with a template a line, or openai: a class is the mean of its texts.
-- $groups text optional: More keys, with commas: the worst group is then one of class and their values together.
-- $remainder choice(keep|mean) = keep: Keep all that isn't a head of the index, or replace it by its mean, too.
-- $control integer = 5: How many random sets to draw.
-- $seed integer = 0: Decides the random sets.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- needs: images
-- interval: control control_low control_high
-- note: select count(*) filter (value is null) || ' of ' || count(*) || ' images have no ' || $target ||
--     coalesce(' or no ' || $groups, '') || ' and are left out' from (
--     select if(bool_or(one is null), null, '') as value from (
--     select image_id, if(key = 'label', label, json_extract_string(metadata, '$."' || key || '"')) as one
--     from images, unnest([$target] || coalesce(string_split($groups, ','), [])) as keys (untrimmed),
--     (select trim(untrimmed) as key)) group by image_id
--     ) having count(*) filter (value is null) > 0
--     union all select note from cut_models where model_id = $model

select part, name, images, before, after, control, control_low, control_high, removed, note
from ablate(
    $model, heads := $heads, property := $property, layers := $layers, labeller := $labeller, mode := $mode,
    target := $target, template := coalesce($templates, $template), groups := $groups, control := $control,
    seed := $seed, partition := $partition, ccs := $ccs, judge := $judge, remainder := $remainder
)
