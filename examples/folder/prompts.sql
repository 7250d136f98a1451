SELECT id, instruction FROM read_csv('../instructions.csv') LIMIT 20
