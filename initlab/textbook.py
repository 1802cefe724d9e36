"""python -m initlab.textbook: claims that students are taught about initialization, each put to the test."""

from initlab.cli.run_textbook import main

if __name__ == "__main__":
    main()
