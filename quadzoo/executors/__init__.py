"""Who runs a task: processes of this machine."""
