"""What reads an index: named queries, vectors inside SQL, neighbours. A question is one `.sql` file in `sql/`."""
