"""The check that a change changes nothing: every study in both trees, event for event."""
