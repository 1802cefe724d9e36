"""The textbook: claims that students are taught, each put to the test by an experiment whose verdict is computed."""
