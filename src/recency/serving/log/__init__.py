"""The event log: durable, in order, once."""
