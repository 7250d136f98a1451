MODEL (
  name demo.generations,
  kind FULL
);

SELECT
  id,
  instruction,
  UNNEST(text_generation_n(instruction, n := 2)) AS response
FROM demo.prompts
