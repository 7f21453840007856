"""What ipsync decides, as pure functions over frozen data: no I/O, no clock, no logging, no environment."""
