-- The best answer to each prompt.
SELECT id, any_value(instruction) AS instruction, arg_max(response, verdict.score) AS response, max(verdict.score) AS score
FROM labelled GROUP BY id ORDER BY id
