"""The verifier's senses, one module per kind of fact: names, dates, parts of the price, sums of money, words."""
