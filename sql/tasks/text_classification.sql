-- text_classification: which one of some labels fits a text.
-- Paper: Let Me Speak Freely? A Study on the Impact of Format Restrictions on Performance of Large Language Models (Tam et al.,
--        2024, arXiv:2408.02442), for asking loosely and reading strictly; the wording is ours.
-- Inputs: text, labels; context (optional), what the labels mean or the texts are; unknown (optional), a label for none.
-- Output: one of the labels, spelled as given; NULL where the model chose none of them or several.
-- Scale: the labels.
-- Use: SELECT text_classification(body, ['sport', 'politics', 'culture']) FROM articles;
--      SELECT text_classification(body, labels, context := 'Support tickets.', unknown := 'other') FROM tickets;
CREATE LABELLER TASK text_classification(text VARCHAR, labels VARCHAR[], context VARCHAR DEFAULT NULL, unknown VARCHAR DEFAULT NULL)
  RETURNS VARCHAR
  SYSTEM $$You classify texts.$$
  PROMPT $${% if not labels %}
{{ 'there is no label to choose from' | reject }}
{% endif %}
{% if context %}
{{ context }}

{% endif %}
Labels: {{ (labels + [unknown] if unknown else labels) | json }}

Text:
{{ text }}

Which label fits the text best?{% if unknown %} If none does, it is {{ unknown | json }}.{% endif %} Write it in this form and nothing else:
Label: <one of the labels>$$
  PARSE $$list_filter([distil_labels(response, CASE WHEN unknown IS NULL THEN labels ELSE list_append(labels, unknown) END)],
    lambda found: len(found) = 1)[1][1]$$
  WITH (max_tokens 64, temperature 0);
