"""What is known, written down: snapshots, backups, and the hash of it all."""
