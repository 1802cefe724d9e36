"""Where curves go beside the tables: the loggers of a job, its hyperparameters, and the dashboard of a sweep."""
