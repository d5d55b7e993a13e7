"""What is known about each customer: purchases, engagement and price sensitivity."""
