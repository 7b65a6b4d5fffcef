"""What the engines of Yandex Cloud share: credentials, gRPC channels, how failures are told, servers to test against."""
