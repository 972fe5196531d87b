"""What a run leaves behind: its facts, its curves, its folder, and what trackers are told."""
