-- Only a labeller: a sentiment for each review, from a closed set of labels.
--
--   distil-sql run examples/label.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt

CREATE OR REPLACE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 32);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 64, price_in 0.40, price_out 1.60);

CREATE OR REPLACE LABELLER TASK sentiment(review VARCHAR)
  RETURNS ENUM('positive', 'negative', 'neutral')
  SYSTEM $$You label product reviews.$$
  PROMPT $${{ review }}$$;

CREATE OR REPLACE TABLE reviews AS
SELECT id, review, sentiment(review) AS label FROM read_csv('reviews.csv');

SELECT label, count(*) AS reviews, any_value(review) AS one_of_them FROM reviews GROUP BY label ORDER BY label;
