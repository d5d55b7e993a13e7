"""The statistics of a trial: data, effects, evaluation, randomisation units."""
