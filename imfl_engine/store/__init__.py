"""The project file: one DuckDB database, one writer thread, SQL and nothing but SQL.

`database` opens, locks and commits; `migrations` holds the schema; every other module holds the SQL
functions of one thing and takes a connection as its first argument.
"""
