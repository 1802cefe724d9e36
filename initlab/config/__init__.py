"""What a configuration may hold, and how the functions and classes that it names are called."""
