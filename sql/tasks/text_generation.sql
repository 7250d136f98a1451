-- text_generation: answers an instruction in free text.
-- Paper: none; the plainest way to ask, as in the supervised data of InstructGPT (Ouyang et al., 2022, arXiv:2203.02155).
-- Inputs: instruction; system (optional). Output: the answer.
-- Use: SELECT text_generation(instruction) FROM prompts;
--      SELECT unnest(text_generation_n(instruction, n := 2)) FROM prompts;
CREATE GENERATOR TASK text_generation(instruction VARCHAR, system VARCHAR DEFAULT NULL)
  RETURNS VARCHAR
  SYSTEM $${{ system }}$$
  PROMPT $${{ instruction }}$$;
