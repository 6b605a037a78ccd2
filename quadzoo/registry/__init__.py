"""Names to things: what plugins may register, and who registered what."""
