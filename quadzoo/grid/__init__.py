"""The benchmark: flags, plan, runs, processes."""
