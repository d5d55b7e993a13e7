"""The arithmetic of a trial: reading, effects, evaluation, randomisation units."""
