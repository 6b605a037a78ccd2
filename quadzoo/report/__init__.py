"""Records to leaderboard: pure functions of what the runs left behind."""
