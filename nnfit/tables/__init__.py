"""Tables as users have them: what their columns hold, findings, and splits."""
