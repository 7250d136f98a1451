-- magpie: what a user might say, from an aligned model that is given nothing but the start of the user's turn.
-- Paper: Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing (Xu et al., 2024,
--        arXiv:2406.08464).
-- Inputs: messages (optional), the turns so far, for a further user turn; system (optional), the topic or persona.
-- Output: the user's message.
-- Scale: none.
-- Needs a model whose prompt ends where the user begins to speak. For llama.cpp say it in the model's prompt_format, for
-- vLLM and SGLang in extra {'chat_template': …}; for ChatML the template is
--   {% for m in messages if m.content %}<|im_start|>{{ m.role }}{{ '\n' }}{{ m.content }}<|im_end|>{{ '\n' }}{% endfor %}
--   <|im_start|>user{{ '\n' }}   (on the same line). A server that takes no template answers an empty message instead.
-- Use: SELECT magpie(system := 'You help with cooking.', sample := i, model := 'magpie') FROM range(100) t(i);
--      SELECT magpie(messages := chat, model := 'magpie') FROM chats;
CREATE GENERATOR TASK magpie(messages STRUCT(role VARCHAR, content VARCHAR)[] DEFAULT [], system VARCHAR DEFAULT NULL)
  RETURNS VARCHAR
  SYSTEM $${{ system }}$$
  PROMPT $${{ messages }}$$
  PARSE $$distil_filled(regexp_extract(distil_text(response),
    '(?s)\A(?:<\|im_start\|>|<\|start_header_id\|>)?(?:user(?:<\|end_header_id\|>)?\s*\n)?(.*?)(?:<\|(?:im_end|im_start|eot_id|end|endoftext|start_header_id|assistant|user|system)\|>|</s>|<end_of_turn>|\s*\[/INST\]|\n\s*(?:<\|)?assistant(?:\|>)?:?\s*\n|\z)', 1))$$
  WITH (max_tokens 512, reask 0);
