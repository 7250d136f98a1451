-- A pipeline as a folder: distil-sql run examples/folder -d data.duckdb
-- Files run in the order in which they need each other; a query alone makes the table that its file is named after.

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.7, max_tokens 64);
CREATE OR REPLACE MODEL labeller  (TYPE llama_cpp, path 'tiny', temperature 0);

LOAD TASKS 'tasks/';
