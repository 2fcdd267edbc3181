"""What a benchmark is: its plan, its progress, and publishing it."""
