"""The encoder's network, its training, its data and its forecast."""
