"""``phaseguide estimate``: area shares with an interval, from what a person painted or named."""
