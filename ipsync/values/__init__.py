"""What may stand in a config file, value by value: the kinds of targets build their part of the file from these."""
