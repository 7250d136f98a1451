-- embed: the vector of a text, from an embedding model of a server or of llama.cpp.
-- Paper: Sentence-BERT (Reimers and Gurevych, 2019, arXiv:1908.10084), whose vectors of texts are compared by their cosine.
-- Inputs: text.
-- Output: FLOAT[], as long as the model makes it; ::FLOAT[1536] makes it an ARRAY for DuckDB's array_cosine_distance.
-- Scale: none.
-- Use: SELECT id, embed(text) AS vector FROM texts;
--      SELECT array_cosine_distance(embed(a, model := 'small')::FLOAT[1536], embed(b, model := 'small')::FLOAT[1536]) FROM pairs;
CREATE EMBEDDER TASK embed(text VARCHAR)
  RETURNS FLOAT[]
  PROMPT $${{ text }}$$;
