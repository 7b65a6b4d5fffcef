"""Text as it is said: numbers, money, dates, telephones and names in words."""
