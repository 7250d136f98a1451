-- Verdicts made of several answers: a comparison asked both ways round, a step judged by where it leads.
--
--   SELECT both_ways(pairwise(instruction, a, b).winner, pairwise(instruction, a, b, swap := true).winner) FROM pairs;
--   SELECT step_label(list_transform(completions, lambda c: c.answer), golden) FROM rollouts;

-- The winner that two comparisons agree on, one of them with the answers swapped; 'tie' where they do not.
CREATE OR REPLACE MACRO both_ways(winner, winner_swapped) AS
    CASE WHEN winner IS NULL OR winner_swapped IS NULL THEN NULL WHEN winner = winner_swapped THEN winner ELSE 'tie' END;

-- Whether two final answers are the same: as numbers where they are numbers, else as text, case and spacing apart.
CREATE OR REPLACE MACRO same_answer(a, b) AS
    coalesce(
        TRY_CAST(regexp_replace(a, '[$€£,%\s]', '', 'g') AS DOUBLE) = TRY_CAST(regexp_replace(b, '[$€£,%\s]', '', 'g') AS DOUBLE),
        lower(regexp_replace(a, '[\s$.]+', '', 'g')) = lower(regexp_replace(b, '[\s$.]+', '', 'g')));

-- Math-Shepherd's label of a step, from the final answers of completions that start after it: `soft`, the share that is
-- right, and `hard`, whether any is. Answers that could not be read count as wrong.
CREATE OR REPLACE MACRO step_label(answers, golden) AS
    CASE WHEN len(answers) > 0 THEN list_transform(
        [len(list_filter(answers, lambda distil_it: coalesce(same_answer(distil_it, golden), false)))],
        lambda distil_right: {'hard': distil_right > 0, 'soft': distil_right / len(answers)})[1] END;
