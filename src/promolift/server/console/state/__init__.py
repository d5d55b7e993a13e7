"""What the console stores: users, background jobs and messages between clicks."""
