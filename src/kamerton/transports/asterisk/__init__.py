"""What Asterisk tells and does beside a call's sound, over its manager interface (AMI)."""
