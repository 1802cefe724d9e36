"""A sweep's way from jobs to tables: which cohorts train where, what is kept meanwhile, and what is left to do."""
