"""What a study says: its tables read, summarized, compared, and ranked across data sets."""
