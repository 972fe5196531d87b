"""Content: what items say of themselves, as vectors."""
