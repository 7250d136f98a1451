-- embedding_pair: a text that belongs to a given one, and one that only seems to, to train embeddings and rerankers on.
-- Paper: Improving Text Embeddings with Large Language Models (Wang et al., 2024, arXiv:2401.00368); the wording is ours.
-- Inputs: anchor; relation (optional): paraphrase, similar, query (one that the anchor answers), answer (to the anchor);
--         hard (optional): a negative that shares words and subject with the anchor; context (optional), the field.
-- Output: STRUCT(positive VARCHAR, negative VARCHAR).
-- Scale: none.
-- Use: SELECT sentence AS anchor, unnest(embedding_pair(sentence)) FROM sentences;
--      SELECT passage, embedding_pair(passage, relation := 'query', hard := true).positive AS query FROM passages;
CREATE GENERATOR TASK embedding_pair(anchor VARCHAR, relation VARCHAR DEFAULT 'paraphrase', hard BOOLEAN DEFAULT false, context VARCHAR DEFAULT NULL)
  RETURNS STRUCT(positive VARCHAR, negative VARCHAR)
  SYSTEM $$You write examples to train text embeddings on.$$
  PROMPT $${% set relations = {
  'paraphrase': 'says the same in other words',
  'similar': 'is on the same matter and close in meaning, without being a paraphrase',
  'query': 'is a search query that the text answers',
  'answer': 'answers the text, read as a question or query'
} %}
{% if relation not in relations %}
{{ ("there is no relation '" ~ relation ~ "': use " ~ (relations | join(', '))) | reject }}
{% endif %}
{% if context %}
Field: {{ context }}

{% endif %}
Text:
{{ anchor }}

Write two texts.
- positive: one that {{ relations[relation] }}.
{% if hard %}
- negative: one of the same kind that shares subject and words with it, so that it might be taken for a positive one, but is not: it means something else or misses the point.
{% else %}
- negative: one of the same kind that has nothing to do with the text.
{% endif %}
Write in this form and nothing else:
Positive: …
Negative: …$$
  PARSE $$distil_pair(response)$$
  WITH (max_tokens 512);
