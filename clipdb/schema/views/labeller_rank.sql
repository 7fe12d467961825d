-- Whose label counts first: 1 human, 2 llm, 3 import, 4 zero-shot, 5 vote, 6 anybody else.
-- param labeller: who named the head, for example llm:MODEL
case split_part(labeller, ':', 1)
    when 'human' then 1 when 'llm' then 2 when 'import' then 3 when 'zero-shot' then 4 when 'vote' then 5 else 6
end
