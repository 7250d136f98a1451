-- instruction_backtranslation: the instruction that a given text would be a good answer to.
-- Paper: Self-Alignment with Instruction Backtranslation (Li et al., 2023, arXiv:2308.06259): its self-augmentation; the
--        wording is ours. backtranslation_score is its self-curation.
-- Inputs: text, something a person wrote.
-- Output: the instruction.
-- Scale: none.
-- Use: SELECT instruction_backtranslation(body) AS instruction, body AS response FROM pages;
--      SELECT * FROM pairs WHERE backtranslation_score(instruction, response).score >= 4;
CREATE GENERATOR TASK instruction_backtranslation(text VARCHAR)
  RETURNS VARCHAR
  SYSTEM $$You find the request behind a text.$$
  PROMPT $$Text:
{{ text }}

Suppose that this text is what an AI assistant answered. What did the user ask? Write the request as the user would have put
it, complete enough that this text answers it well, without quoting the text or saying that there is one.
Write it alone, after "Instruction:".$$
  PARSE $$distil_written(response, 'instruction|request|prompt|question|user')$$
  WITH (max_tokens 512);
