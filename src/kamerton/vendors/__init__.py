"""What every adapter of a vendor shares: registration, accounts, checks, what is used and paid for, when one rests."""
