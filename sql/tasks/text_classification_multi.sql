-- text_classification_multi: which of some labels fit a text: several, one or none.
-- Paper: Let Me Speak Freely? A Study on the Impact of Format Restrictions on Performance of Large Language Models (Tam et al.,
--        2024, arXiv:2408.02442), for asking loosely and reading strictly; the wording is ours.
-- Inputs: text, labels; context (optional), what the labels mean or the texts are; most (optional), how many at most.
-- Output: VARCHAR[], labels spelled and ordered as given, [] for none; NULL where the answer names no label and not "none".
-- Scale: the labels.
-- Use: SELECT text_classification_multi(body, ['economy', 'europe', 'climate']) FROM articles;
--      SELECT text_classification_multi(body, labels, most := 2) FROM articles;
CREATE LABELLER TASK text_classification_multi(text VARCHAR, labels VARCHAR[], context VARCHAR DEFAULT NULL, most INTEGER DEFAULT NULL)
  RETURNS VARCHAR[]
  SYSTEM $$You classify texts.$$
  PROMPT $${% if not labels %}
{{ 'there is no label to choose from' | reject }}
{% endif %}
{% if context %}
{{ context }}

{% endif %}
Labels: {{ labels | json }}

Text:
{{ text }}

Which of the labels fit the text? Choose {% if most %}at most {{ most }}{% else %}as many as fit{% endif %}, and "none" if none does. Write them in this form and nothing else:
Labels: <labels, with commas between>$$
  PARSE $$list_filter([distil_labels(response, labels)], lambda found: most IS NULL OR len(found) <= most)[1]$$
  WITH (max_tokens 128, temperature 0);
