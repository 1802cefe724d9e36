"""One module a lesson, named as its file in conf/lesson: `judge` reads its tables, `draw` makes its picture."""
