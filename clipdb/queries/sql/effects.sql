-- What accuracy falls by without heads, directly and with the model run again
--
-- Of the sets of heads that `clipdb ablate` has measured. direct_drop is by how much zero-shot accuracy falls when what
-- the heads write into the embedding is taken off; causal_drop, when the model runs with the heads' outputs replaced,
-- so that later layers may make up for part of it, or lose more. Where the two differ, trust causal_drop. difference is
-- direct_drop - causal_drop: over 0 where later layers make up for part of the loss. The interval of causal_drop is
-- Newcombe's (the macro drop_interval), which is wide, since it takes the two accuracies for independent; that of
-- difference is a bootstrap over images; both are of 95 %. name is the head's property, or the one that the set was chosen by; tested, whether the name holds (see the
-- query `heads`). mode, mean and tokens say how outputs were replaced, template how classes were put into words. The
-- sets that lose most come first; the table effects has them by class and worst group, too, and with random sets.
--
-- $head head optional: Only this head, as L4.H1.
-- $target text optional: Only this task: label, or a key of the images' metadata.
-- $mode choice(mean|zero) optional: Only with outputs replaced by their mean, or by nothing.
-- $model model optional: Only this model.
-- needs: effects
-- empty: `clipdb ablate --each` measures heads
-- limit: 50
-- interval: causal_drop causal_low causal_high
-- interval: difference difference_low difference_high

select
    effects.model_id, ablated as head, coalesce(effects.property, named.property) as name, tested,
    round(before - direct, 12) as direct_drop, round(before - causal, 12) as causal_drop,
    round(drop_interval(before, causal, images).low, 12) as causal_low,
    round(drop_interval(before, causal, images).high, 12) as causal_high,
    difference, difference_low, difference_high, before, images, target, mode, mean, tokens, template
from effects
left join head_properties as named on named.model_id = effects.model_id and named.name = ablated
where part = 'all' and ($model is null or effects.model_id = $model) and ($head is null or ablated = $head)
    and ($target is null or target = $target) and ($mode is null or mode = $mode)
order by effects.model_id, causal_drop desc, direct_drop desc, ablated, target, template, mode, mean, tokens
