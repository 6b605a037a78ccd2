"""From records to leaderboards: pure functions of the files of the runs."""
