"""Who listens to the events of a run (core/events.py, core/signals.py): metrics, notifications, the status page, health. They never touch a cloud.

What they do is best effort: a failure here is logged and never in the way of a pass. Nothing of it, nor of the libraries
it brings, is loaded by a command that doesn't ask for it.
"""
