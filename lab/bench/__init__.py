"""`make bench`: the guard beside everything that one would use instead, on machines of our own."""
