"""What everything stands on: errors, the console, numbers in words, files, locks, the machine and its threads."""
