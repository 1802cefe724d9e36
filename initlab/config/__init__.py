"""What a configuration may hold, and how what it names is called."""
