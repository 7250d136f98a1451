-- text_generation: answers an instruction in free text, on a principle if one is given.
-- Paper: UltraFeedback: Boosting Language Models with Scaled AI Feedback (Cui et al., 2023, arXiv:2310.01377), for the
--        five principles; the wording is ours. Without a principle it is the plainest way to ask.
-- Inputs: instruction; system (optional); principle (optional): harmlessness, helpfulness, truthfulness, honesty,
--         verbalized_calibration, or a sentence of your own. draw_principle and balanced_principle choose one a row.
-- Output: the answer.
-- Scale: none.
-- Use: SELECT unnest(text_generation_n(instruction, n := 2)) FROM prompts;
--      SELECT text_generation(instruction, principle := draw_principle(instruction)) FROM prompts;
CREATE GENERATOR TASK text_generation(instruction VARCHAR, system VARCHAR DEFAULT NULL, principle VARCHAR DEFAULT NULL)
  RETURNS VARCHAR
  SYSTEM $${{ system }}{% if principle %}{% if system %}{{ '\n\n' }}{% endif %}
{% set principles = {
  'harmlessness': 'Do no harm: keep clear of anything hateful, insulting, dangerous or unlawful, and where you decline, say so kindly and offer what help you can.',
  'helpfulness': 'Be of use: find out what is really wanted, answer all of it, and give the details, steps or examples that a reader can act on.',
  'truthfulness': 'Be truthful: state only what is so, invent no names, numbers or sources, and stay with what the request says.',
  'honesty': 'Be honest about what you know: say plainly where you are not sure or cannot know, and never feign knowledge or experience.',
  'verbalized_calibration': 'Say how sure you are: give with each claim that matters a confidence in words or per cent that fits how likely it is to be right.'
} %}
{% if principle in principles %}
{{- principles[principle] -}}
{% elif ' ' in principle %}
{{- principle -}}
{% else %}
{{- ("there is no principle '" ~ principle ~ "': use " ~ (principles | join(', ')) ~ ", or a sentence") | reject -}}
{% endif %}{% endif %}$$
  PROMPT $${{ instruction }}$$;
