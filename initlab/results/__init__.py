"""What was measured: tables, how they are stored, and what they say."""
