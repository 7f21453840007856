"""The local clouds and feeds that the demo, the sandbox command and the tests share."""
