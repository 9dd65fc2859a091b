// The list of strategies: one line each, in the order in which they are listed to the user.
