"""`earshot doctor`: tries everything that a bot will need, before a meeting does."""
