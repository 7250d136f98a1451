-- retrieval_query: search queries that a passage answers.
-- Paper: InPars: Data Augmentation for Information Retrieval using Large Language Models (Bonifacio et al., 2022,
--        arXiv:2202.05144); the wording is ours.
-- Inputs: passage; count (optional), how many; style (optional): question, keywords, claim, or a description of your own;
--         task (optional), what the searcher is doing.
-- Output: VARCHAR[], as many as the model wrote, at most `count`.
-- Scale: none.
-- Use: SELECT passage, unnest(retrieval_query(passage)) AS query FROM passages;
--      SELECT retrieval_query(passage, count := 1, style := 'keywords')[1] FROM passages;
CREATE GENERATOR TASK retrieval_query(passage VARCHAR, count INTEGER DEFAULT 3, style VARCHAR DEFAULT 'question', task VARCHAR DEFAULT NULL)
  RETURNS VARCHAR[]
  SYSTEM $$You write what people type into a search box.$$
  PROMPT $${% set styles = {
  'question': 'a question as people ask it',
  'keywords': 'a few key words, not a sentence',
  'claim': 'a statement that the passage supports'
} %}
Passage:
{{ passage }}

Write {{ count }} different search queries that this passage answers and most other passages do not. Each is
{{ styles[style] if style in styles else style }}.
{% if task %}
The searcher's purpose: {{ task }}
{% endif %}
Use other words than the passage where you can, and do not speak of "the passage" or "the text".
Write a numbered list, one query on a line, and nothing else.$$
  PARSE $$CASE WHEN len(distil_items(response)) > 0 THEN distil_items(response)[:count] END$$
  WITH (max_tokens 512);
