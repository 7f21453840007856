"""The vendor on loopback: QA.tech's API, whose runners get in or don't by what the embedded clouds' rules let in."""
