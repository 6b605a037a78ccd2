"""The leaderboard of a suite: backbones over several data sets."""
