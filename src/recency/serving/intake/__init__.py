"""What clients send, checked before anything happens."""
