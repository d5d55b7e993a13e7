"""Learning from decisions and their outcomes: the verdict, the value of other policies and the next release."""
