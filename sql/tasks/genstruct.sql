-- genstruct: a question that a passage of text can answer, and the answer, both on the text alone.
-- Paper: Ada-Instruct: Adapting Instruction Generators for Complex Reasoning (Cui and Wang, 2023, arXiv:2310.04484),
--        after which the model Genstruct is made; its form of marks in triple brackets, the wording is ours.
-- Inputs: title, content: a document.
-- Output: STRUCT(instruction VARCHAR, response VARCHAR).
-- Scale: none.
-- Use: SELECT unnest(genstruct(title, body)) FROM articles;
--      SELECT genstruct_n(title, body, n := 3) FROM articles;
CREATE GENERATOR TASK genstruct(title VARCHAR, content VARCHAR)
  RETURNS STRUCT(instruction VARCHAR, response VARCHAR)
  PROMPT $$[[[Title]]] {{ title }}
[[[Content]]] {{ content }}

From the text above make one exchange between a user and an assistant. The user asks something that takes some thinking and
that the text holds the answer to, and says all that is needed to follow: neither of them can see the text or mentions it.
Write it in this form and write nothing else:
[[[User]]] what the user asks
[[[Assistant]]] the reasoned answer$$
  PARSE $$distil_exchange(response)$$
  WITH (max_tokens 1024);
