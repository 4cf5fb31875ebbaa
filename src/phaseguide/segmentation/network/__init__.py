"""An image in the network: tiles, views, memory, the scores without and with a ratio."""
