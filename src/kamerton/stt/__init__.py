"""Speech to text: one shared decode worker for engines that take whole turns, one file per vendor, stand-ins."""
