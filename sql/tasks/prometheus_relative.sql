-- prometheus_relative: which of two answers is better by a rubric of your own, with feedback.
-- Paper: Prometheus 2: An Open Source Language Model Specialized in Evaluating Other Language Models (Kim et al., 2024,
--        arXiv:2405.01535): pairwise ranking, in its form "Feedback: … [RESULT] A"; the wording is ours.
-- Inputs: instruction, response_a, response_b, rubric; reference (optional); swap (optional): show b first; shuffle, seed
--         (optional): let a hash of the answers decide which is first.
-- Output: STRUCT(winner VARCHAR, feedback VARCHAR): 'A' or 'B', as the arguments name them however they were shown; the
--         feedback names them as shown.
-- Scale: A or B; the paper has no tie.
-- Use: SELECT prometheus_relative(instruction, a, b, 'Which is more polite?').winner FROM pairs;
--      SELECT prometheus_relative(instruction, a, b, rubric, reference := golden, shuffle := true) FROM pairs;
CREATE LABELLER TASK prometheus_relative(instruction VARCHAR, response_a VARCHAR, response_b VARCHAR, rubric VARCHAR, reference VARCHAR DEFAULT NULL, swap BOOLEAN DEFAULT false, shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS STRUCT(winner VARCHAR, feedback VARCHAR)
  SYSTEM $$You compare answers strictly by the rubric you are given, and by nothing else.$$
  PROMPT $${% set shown = [response_a, response_b] | shuffled(seed) if shuffle else [response_a, response_b] %}
{% if swap %}
{% set shown = shown | reverse | list %}
{% endif %}
### Instruction
{{ instruction }}

### Answer A
{{ shown[0] }}

### Answer B
{{ shown[1] }}
{% if reference %}

### Reference answer
{{ reference }}
{% endif %}

### Rubric
{{ rubric }}

### What to do
Write feedback that sets the two answers against each other by the rubric, then say which is better. Keep to this form:
Feedback: <your feedback> [RESULT] <A or B>$$
  PARSE $$list_filter([{
      'winner': distil_winner(distil_result(response), [response_a, response_b], swap, shuffle, seed),
      'feedback': distil_feedback(response)}],
    lambda found: found.winner IS NOT NULL)[1]$$
  WITH (max_tokens 768, temperature 0);
