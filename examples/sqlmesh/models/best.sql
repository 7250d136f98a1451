MODEL (
  name demo.best,
  kind FULL,
  audits (not_null(columns := (response)), number_of_rows(threshold := 1))
);

SELECT
  id,
  instruction,
  ARG_MAX(response, verdict.score) AS response,
  MAX(verdict.score) AS score
FROM demo.labelled
GROUP BY
  id,
  instruction
