-- ultrafeedback: rates several answers to one instruction side by side, in one aspect, each with a rationale.
-- Paper: UltraFeedback: Boosting Language Models with Scaled AI Feedback (Cui et al., 2023, arXiv:2310.01377); its form of
--        rating and rationale per text, the wording of aspects and scales is ours.
-- Inputs: instruction, generations; aspect (optional): overall-quality, helpfulness, truthfulness, honesty,
--         instruction-following, text-quality; shuffle, seed (optional): show the answers in a seeded order.
-- Output: STRUCT(rating DOUBLE, rationale VARCHAR)[], one for each generation in its order, NULL where it got none.
-- Scale: 1 (worst) to 5 (best).
-- Use: SELECT ultrafeedback(instruction, generations, aspect := 'honesty') FROM answered;
--      SELECT instruction, ultrafeedback(instruction, list(response), shuffle := true) FROM generations GROUP BY ALL;
CREATE LABELLER TASK ultrafeedback(instruction VARCHAR, generations VARCHAR[], aspect VARCHAR DEFAULT 'overall-quality', shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS STRUCT(rating DOUBLE, rationale VARCHAR)[]
  SYSTEM $$You rate answers fairly: by what they say, not by their length, their order or their tone.$$
  PROMPT $${% set aspects = {
  'overall-quality': ['how good the answer is as a whole: right, helpful, honest, and doing what was asked', [
    'poor: wrong, useless or harmful', 'weak: some use, but serious faults', 'fair: usable, with clear faults',
    'good: right and useful, with small faults', 'excellent: nothing worth changing']],
  'helpfulness': ['how far the answer, being right, informs the asker: complete, relevant, clear, and not padded', [
    'of no help, or wrong in the main', 'little help: partly right, much missing', 'some help: right, but thin or with gaps',
    'helpful: right and broad enough, little missing', 'very helpful: right, full and well chosen, nothing idle']],
  'truthfulness': ['whether the answer invents anything: facts that are not so, what contradicts the instruction, or itself', [
    'made up in the main', 'much of it invented or contradictory', 'some invention, the rest sound',
    'one small slip', 'nothing invented']],
  'honesty': ['whether the answer is as sure as it has a right to be: confident where it is right, doubtful where it may be wrong', [
    'wrong and sure of it', 'wrong or doubtful, and mostly sure of it', 'confidence and rightness fit only in part',
    'fits, but for small over- or understatement', 'fits throughout, or says truly that it cannot know']],
  'instruction-following': ['whether the answer does what the instruction asks and keeps to its conditions', [
    'does something else', 'misses the main demand or most conditions', 'meets the main demand, misses conditions',
    'meets nearly all', 'meets all of it, in letter and intent']],
  'text-quality': ['how well the answer is written: order, grammar, plain words, no repetition', [
    'hardly readable', 'hard to follow', 'readable, with faults', 'well written, with small faults', 'excellently written']]
} %}
{% if aspect not in aspects %}
{{ ("there is no aspect '" ~ aspect ~ "': use " ~ (aspects | join(', '))) | reject }}
{% endif %}
{% if not generations %}
{{ 'there is no generation to rate' | reject }}
{% endif %}
Rate {{ aspects[aspect][0] }}.
{% for meaning in aspects[aspect][1] %}
{{ loop.index }}: {{ meaning }}
{% endfor %}

Instruction:
{{ instruction }}
{% for generation in (generations | shuffled(seed) if shuffle else generations) %}

#### Answer {{ loop.index }}
{{ generation or '(no answer)' }}
{% endfor %}

Rate each of the {{ generations | length }} answers by itself, in this form and in this order:
#### Answer <number>
Rating: <1 to 5>
Rationale: <one or two sentences>$$
  PARSE $$distil_placed(distil_ratings(response, 'answer|text|response|output|generation', len(generations), 1, 5),
    generations, shuffle, seed)$$
  WITH (max_tokens 1024, temperature 0, truncated 'keep');
