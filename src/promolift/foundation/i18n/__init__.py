"""Format numbers, money, dates and sentences in English and Chinese."""
