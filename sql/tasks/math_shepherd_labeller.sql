-- math_shepherd_labeller: marks each step of a solution as leading to the right answer or not.
-- Paper: Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations (Wang et al., 2023,
--        arXiv:2312.08935): its + and - labels, here given by a judge; the paper gets them from completions (step_label).
-- Inputs: instruction, the problem; steps, the solution; reference (optional), the right answer.
-- Output: VARCHAR[], a mark for each step, NULL where the judge gave none.
-- Scale: '+' (from here the right answer can be reached) or '-'.
-- Use: SELECT math_shepherd_labeller(problem, solution.steps) FROM solutions;
--      SELECT math_shepherd_labeller(problem, solution.steps, reference := golden) FROM solutions;
CREATE LABELLER TASK math_shepherd_labeller(instruction VARCHAR, steps VARCHAR[], reference VARCHAR DEFAULT NULL)
  RETURNS VARCHAR[]
  SYSTEM $$You check solutions step by step.$$
  PROMPT $${% if not steps %}
{{ 'there is no step to mark' | reject }}
{% endif %}
Problem: {{ instruction }}
{% if reference %}
The right answer: {{ reference }}
{% endif %}

Solution:
{% for step in steps %}
Step {{ loop.index }}: {{ step }}
{% endfor %}

Mark each step: + if it is sound and the right answer can still be reached from it, - if it is not.
Write one line for each of the {{ steps | length }} steps and nothing else:
Step <number>: <+ or ->$$
  PARSE $$distil_placed(distil_marks(response, len(steps)), steps, false, 0)$$
  WITH (max_tokens 512, temperature 0, truncated 'keep');
