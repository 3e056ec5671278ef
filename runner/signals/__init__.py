"""What the system says about a run's processes, sampled from outside."""
