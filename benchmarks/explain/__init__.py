"""How faithful explanations are."""
