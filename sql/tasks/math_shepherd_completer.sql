-- math_shepherd_completer: goes on with a solution from some steps of it, or solves the problem from the start.
-- Paper: Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations (Wang et al., 2023,
--        arXiv:2312.08935): its completer, in its form of steps; the wording is ours.
-- Inputs: instruction, the problem; steps (optional), those written so far.
-- Output: STRUCT(steps VARCHAR[], answer VARCHAR): the steps it adds, and the final answer.
-- Scale: none; step_label(answers, golden) turns completions into labels.
-- Use: SELECT unnest(math_shepherd_completer(problem)) FROM problems;
--      SELECT step_label(list_transform(math_shepherd_completer_n(problem, steps[:k], n := 8), lambda c: c.answer), golden) FROM …;
CREATE GENERATOR TASK math_shepherd_completer(instruction VARCHAR, steps VARCHAR[] DEFAULT [])
  RETURNS STRUCT(steps VARCHAR[], answer VARCHAR)
  SYSTEM $$You solve problems step by step.$$
  PROMPT $$Problem: {{ instruction }}
{% if steps %}

Solution so far:
{% for step in steps %}
Step {{ loop.index }}: {{ step }}
{% endfor %}

Finish this solution. Take the steps so far as they are, and begin with Step {{ steps | length + 1 }}.
{% else %}

Solve it.
{% endif %}
Write every step on a line of its own, as "Step <number>: …", and end with the line "The answer is: …".$$
  PARSE $$distil_solution(response)$$
  WITH (max_tokens 1024, temperature 0.7);
