"""What services that speak gRPC share: connections with a bound of streams each, and failures told as `VendorError`."""
