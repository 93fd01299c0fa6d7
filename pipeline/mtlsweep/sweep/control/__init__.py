"""What the commands do to a sweep: show, stop, retry, repeat, rebuild."""
