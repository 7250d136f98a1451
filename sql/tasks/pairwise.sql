-- pairwise: which of two answers is better, or whether they tie, with the reason.
-- Paper: Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena (Zheng et al., 2023, arXiv:2306.05685): pairwise comparison
--        and its swap of positions, in its form of [[A]], [[B]], [[C]]; the wording is ours.
-- Inputs: instruction, response_a, response_b; criteria (optional); swap (optional): show b first; shuffle, seed (optional):
--         let a hash of the answers decide which is first.
-- Output: STRUCT(winner VARCHAR, reason VARCHAR): 'A', 'B' or 'tie', as the arguments name them however they were shown; the
--         reason names them as shown.
-- Scale: A, B or tie.
-- Use: SELECT pairwise(instruction, a, b, shuffle := true).winner FROM pairs;
--      SELECT both_ways(pairwise(instruction, a, b).winner, pairwise(instruction, a, b, swap := true).winner) FROM pairs;
CREATE LABELLER TASK pairwise(instruction VARCHAR, response_a VARCHAR, response_b VARCHAR, criteria VARCHAR DEFAULT NULL, swap BOOLEAN DEFAULT false, shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS STRUCT(winner VARCHAR, reason VARCHAR)
  SYSTEM $$You compare two answers without favour: neither the order in which you see them nor their length counts.$$
  PROMPT $${% set shown = [response_a, response_b] | shuffled(seed) if shuffle else [response_a, response_b] %}
{% if swap %}
{% set shown = shown | reverse | list %}
{% endif %}
[Question]
{{ instruction }}

[Answer A]
{{ shown[0] }}
[End of answer A]

[Answer B]
{{ shown[1] }}
[End of answer B]

Which answer is better{% if criteria %}, by these criteria: {{ criteria }}{% else %}: more right, more useful, closer to what was asked{% endif %}?
Give your reason in a few sentences, then end with [[A]] if A is better, [[B]] if B is, or [[C]] if they are equally good.$$
  PARSE $$list_filter([{
      'winner': distil_winner(distil_verdict(response), [response_a, response_b], swap, shuffle, seed),
      'reason': distil_filled(regexp_replace(regexp_replace(distil_text(response),
          '(?is)[*_\s]*(?:\[\[[^\]]*\]\]|【【[^】]*】】|\\boxed\{[^{}]*\}|\[(?:a|b|c|tie)\])[^\[【]*\z', ''),
          '(?:\n|\A)[^\n.]{0,40}:[*_\s]*\z', ''))}],
    lambda found: found.winner IS NOT NULL)[1]$$
  WITH (max_tokens 512, temperature 0);
