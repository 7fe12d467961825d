-- Whose label counts first: 1 human, 2 evidence, 3 llm, 4 import, 5 zero-shot, 6 vote, 7 anybody else.
-- param labeller: who named the head, for example llm:MODEL
case split_part(labeller, ':', 1)
    when 'human' then 1 when 'evidence' then 2 when 'llm' then 3 when 'import' then 4 when 'zero-shot' then 5
    when 'vote' then 6 else 7
end
