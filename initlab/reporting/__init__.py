"""The report of a study: what it says in words, tables and figures, as HTML, Markdown, CSV and pictures."""
