"""What the engines of Yandex Cloud share: credentials, a look at SpeechKit, how it is told of, a stand-in for IAM."""
