"""What each customer will buy next: repeat purchases, first purchases and affinities."""
