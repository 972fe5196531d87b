"""The service against its goals: how much, how soon, how many."""
