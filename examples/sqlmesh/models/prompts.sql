MODEL (
  name demo.prompts,
  kind SEED (path '../seeds/instructions.csv')
);
