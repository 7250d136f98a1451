SELECT id, instruction, unnest(text_generation_n(instruction, n := 2)) AS response FROM prompts
