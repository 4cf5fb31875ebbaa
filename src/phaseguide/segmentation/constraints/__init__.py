"""What a user sets on the image itself: regions with ratios of their own, boxes and points."""
