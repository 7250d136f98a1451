-- The embedded model in three parts. On a real server: TYPE openai, model 'gpt-4.1-mini', and a key in OPENAI_API_KEY.

CREATE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 1.0, max_tokens 64);
CREATE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 96);
CREATE MODEL second_labeller (TYPE llama_cpp, path 'tiny', temperature 0.1, seed 2, max_tokens 96);
