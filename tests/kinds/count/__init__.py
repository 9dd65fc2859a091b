"""A kind of work for tests: how many blocks of one size a strategy serves before its region is full."""
