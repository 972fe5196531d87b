"""What a live model knows, as lists for people: asked, ruled, ranked."""
