"""`python -m distil_sql` is `distil-sql`."""

from distil_sql.cli import main

if __name__ == "__main__":
    main()
