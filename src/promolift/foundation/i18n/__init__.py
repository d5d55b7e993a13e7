"""Numbers, money, dates and sentences in English and Chinese."""
