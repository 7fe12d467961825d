-- Accuracy against the number of spans that stand for heads
--
-- Replaces heads by their projection on their first spans, 0 (each head's mean) to all, and classifies the images by
-- the nearest of their classes' texts (the completeness curve of arXiv 2310.05916). Where the accuracy comes up to that
-- of the whole heads, the spans hold what the heads contribute. Direct effects only: the model does not run.
--
-- $target text = label: What is classified: label, or a key of the images' metadata.
-- $heads text optional: The heads, as L4.H1,L4.H2; all that have spans unless some are chosen.
-- $property text optional: Heads that carry this property; several with commas.
-- $layers text optional: Heads of these layers: 3-4, 0,2, last2 or pool.
-- $labeller text optional: Heads by the labels of this labeller, as vote, not by their current ones.
-- $pool pool optional: The pool whose spans are used; may be left out where the model has spans of one.
-- $template text = a photo of a {}: The text of a class; its name goes where {} is.
-- $templates templates optional: A file with a template a line, or openai: a class is the mean of its texts.
-- $groups text optional: More keys, with commas: the worst group is then one of class and their values together.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: images, spans

select spans, accuracy, worst, whole, whole_worst, variance, images, replaced, note
from reconstruct(
    $model, heads := $heads, property := $property, layers := $layers, labeller := $labeller, pool := $pool,
    target := $target, template := coalesce($templates, $template), groups := $groups, partition := $partition
)
