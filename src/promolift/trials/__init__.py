"""Analyse a trial: check its randomisation, estimate what each arm adds and to whom, plan, and write a page."""
