"""What the engines of Yandex Cloud share: credentials, gRPC channels, how failures are told, a stand-in for IAM."""
