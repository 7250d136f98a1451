-- prometheus_absolute: grades an answer by a rubric of your own, with feedback.
-- Paper: Prometheus 2: An Open Source Language Model Specialized in Evaluating Other Language Models (Kim et al., 2024,
--        arXiv:2405.01535): direct assessment, in its form "Feedback: … [RESULT] n"; the wording is ours.
-- Inputs: instruction, response, rubric (what is graded, and what each score stands for); reference (optional), an answer
--         that would get 5.
-- Output: STRUCT(score INTEGER, feedback VARCHAR).
-- Scale: 1 to 5, as the rubric says.
-- Use: SELECT prometheus_absolute(instruction, response, 'Is it polite? 1: insulting … 5: courteous') FROM generations;
--      SELECT prometheus_absolute(instruction, response, rubric, reference := golden).score FROM generations;
CREATE LABELLER TASK prometheus_absolute(instruction VARCHAR, response VARCHAR, rubric VARCHAR, reference VARCHAR DEFAULT NULL)
  RETURNS STRUCT(score INTEGER, feedback VARCHAR)
  SYSTEM $$You assess answers strictly by the rubric you are given, and by nothing else.$$
  PROMPT $$### Instruction
{{ instruction }}

### Answer to assess
{{ response }}
{% if reference %}

### Reference answer, which would get 5
{{ reference }}
{% endif %}

### Rubric
{{ rubric }}

### What to do
Write feedback on how far the answer meets the rubric, then a whole number from 1 to 5. Keep to this form:
Feedback: <your feedback> [RESULT] <1 to 5>$$
  PARSE $$distil_prometheus(response)$$
  WITH (max_tokens 768, temperature 0);
