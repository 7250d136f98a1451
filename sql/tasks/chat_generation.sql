-- chat_generation: the next message of a conversation, which goes to the model turn by turn as it is.
-- Paper: none for the task; conversations of several turns as in Enhancing Chat Language Models by Scaling High-quality
--        Instructional Conversations (Ding et al., 2023, arXiv:2305.14233).
-- Inputs: messages, the turns so far (roles system, user, assistant); system (optional), said before them.
-- Output: the assistant's next message.
-- Scale: none.
-- Use: SELECT chat_generation([{'role': 'user', 'content': question}]) FROM questions;
--      SELECT list_append(messages, {'role': 'assistant', 'content': chat_generation(messages)}) FROM chats;
CREATE GENERATOR TASK chat_generation(messages STRUCT(role VARCHAR, content VARCHAR)[], system VARCHAR DEFAULT NULL)
  RETURNS VARCHAR
  SYSTEM $${{ system }}$$
  PROMPT $${{ messages }}$$;
