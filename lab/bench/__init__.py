"""`make bench`: the guard and the alternatives to it, measured in virtual machines."""
