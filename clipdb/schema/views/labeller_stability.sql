-- Label stability of each LLM: its heads asked at least twice with one prompt and set of examples (label_stability).
-- A head asked with two prompts counts once for each.
-- column model_id: Model with weights
-- column pool: Pool whose spans the LLM saw
-- column labeller: Who named them: llm:MODEL
-- column asked_heads: Heads that were asked about
-- column repeated_heads: Those with at least two runs that gave an answer: the numbers from here on are theirs
-- column stable_heads: Those that got one name in all runs
-- column runs: Runs that gave an answer, mean over these heads
-- column names: Different names, mean over these heads
-- column share: Share of the most frequent name, 0..1, mean over these heads
-- column agreement: Share of the pairs of runs that gave the same name, 0..1, mean over these heads
-- column failed: Runs that failed, over all heads asked about
select
    model_id, pool, labeller,
    count(*) as asked_heads,
    count_if(runs > 1)::bigint as repeated_heads,
    count_if(runs > 1 and names = 1)::bigint as stable_heads,
    avg(label_stability.runs) filter (label_stability.runs > 1) as runs,
    avg(label_stability.names) filter (label_stability.runs > 1) as names,
    avg(label_stability.share) filter (label_stability.runs > 1) as share,
    avg(label_stability.agreement) as agreement,
    sum(label_stability.failed)::bigint as failed
from label_stability
group by model_id, pool, labeller
