"""Match columns to roles one by one: propose candidates, score them, find the time, explain what was found."""
