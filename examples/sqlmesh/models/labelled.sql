MODEL (
  name demo.labelled,
  kind FULL
);

SELECT
  *,
  grade(instruction, response) AS verdict
FROM demo.generations
