"""What is known and remembered of users while events arrive, and the scores that follow."""
